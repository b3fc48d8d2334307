/**
 * What a move that waits at READY and the operation on its whole VM tell each other: all mirrors of
 * a VM end within one suspension of its guest.
 */
import { defineSignal, getExternalWorkflowHandle, setHandler } from '@temporalio/workflow';
import type { AnyOperation } from '../operation/operation.ts';
import type { ImageJob } from './activities.ts';

/** What a switch of a disk that waits needs to know. */
export interface Ready {
  job: ImageJob;
}

/** A disk whose mirror may end. */
export interface ReadyDisk extends Ready {
  disk: string;
}

/**
 * To the move of a disk: the id of who wants to know when its mirror is READY; then why the last
 * suspension was too short for it.
 */
export const askReadySignal = defineSignal<[string, string?]>('ask-ready');
/** The answer, as often as it becomes READY. */
export const readySignal = defineSignal<[ReadyDisk]>('ready');

/** What a move knows of who has asked. */
export interface Asked {
  by: string | null;
  /** While it waits. */
  ready: Ready | null;
  /** Why it is to wait for READY again; null while what it has told may be true. */
  missed: string | null;
}

/** Registers the question. Who asks again, as it is a new run, is answered again. */
export function acceptAsking(op: AnyOperation): Asked {
  const asked: Asked = { by: null, ready: null, missed: null };
  const hear = async (by: string, missed?: string) => {
    if (typeof by !== 'string' || by === '') return;
    asked.by = by;
    if (typeof missed === 'string' && asked.ready !== null) asked.missed = missed;
    else await tellReady(op, asked);
  };
  setHandler(askReadySignal, hear, { description: 'Tell this workflow when the mirror is READY' });
  return asked;
}

/** One that was terminated is told nothing. */
export async function tellReady({ status }: AnyOperation, { by, ready }: Asked): Promise<void> {
  if (by === null || ready === null) return;
  const asking = getExternalWorkflowHandle(by);
  await asking.signal(readySignal, { disk: status.disk, ...ready }).catch(() => undefined);
}
