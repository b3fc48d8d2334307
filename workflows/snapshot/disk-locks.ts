/**
 * An operation on a whole VM keeps every other one off its disks: the id of a workflow is the lock
 * of a disk (D2), so it starts a small one under each. A lock ends with its operation, also when
 * that is terminated.
 */
import {
  condition,
  defineSignal,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  startChild,
  type ChildWorkflowHandle,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import * as z from 'zod/mini';
import { operationId } from '../chain/references.ts';
import { DISK_LOCK } from '../operation/contract.ts';
import { refused } from '../operation/failures.ts';
import { diskTarget, plainText, vmName, shell } from '../operation/names.ts';
import type { AnyOperation } from '../operation/operation.ts';
import { forwardOnly } from '../operation/point-of-no-return.ts';
import { readQuestion } from '../operation/request/request.ts';
import { oneLine } from '../operation/words.ts';

export const heldDisk = z.strictObject({ vm: vmName, disk: diskTarget, by: plainText });
type HeldDisk = z.output<typeof heldDisk>;

const releaseSignal = defineSignal('release');

/** Exists, under the id of a disk, until its operation releases it or ends. */
export async function HoldDisk(request: HeldDisk): Promise<void> {
  const { vm, by } = readQuestion(heldDisk, request);
  let isReleased = false;
  setHandler(releaseSignal, () => void (isReleased = true));
  setCurrentDetails(`Held by \`${by}\`: see workflow \`${vm}\`, and cancel that.`);
  // A cancel of the lock would leave the operation without it.
  await forwardOnly(() => condition(() => isReleased));
}

export interface DiskLock {
  release(): Promise<void>;
}

/** @throws Refused `other-operation` when a disk has one; then none is held */
export async function holdDisks(op: AnyOperation, disks: readonly string[]): Promise<DiskLock> {
  const { vm } = op.status;
  const held = await Promise.all(
    disks.map(async (disk) => ({ disk, lock: await holdDisk(op, disk) })),
  );
  const release = async () => {
    await Promise.all(held.flatMap(({ lock }) => (lock ? [lock.release()] : [])));
  };
  const busy = held.flatMap(({ disk, lock }) => (lock ? [] : [disk]));
  if (busy.length === 0) return { release };
  await release();
  const [first = ''] = busy.sort();
  const id = operationId({ vm, disk: first });
  throw refused('other-operation', {
    attempted: op.words,
    now: `another operation runs on ${id}; nothing was done`,
    next:
      `Wait for it (${shell`blockflow status ${id}`}) or end it ` +
      `(${shell`blockflow cancel ${id}`})`,
  });
}

/** @returns null when another operation has the disk */
export function holdDisk(op: AnyOperation, disk: string): Promise<DiskLock | null> {
  return forwardOnly(async () => {
    const lock = await hold({ vm: op.status.vm, disk, by: op.words });
    if (!lock) return null;
    // One that a person has terminated is released.
    const release = async () => {
      await lock.signal(releaseSignal).catch(() => undefined);
      await lock.result().catch(() => undefined);
    };
    return { release: () => forwardOnly(release) };
  });
}

async function hold(input: HeldDisk): Promise<ChildWorkflowHandle<typeof HoldDisk> | null> {
  try {
    return await startChild<typeof HoldDisk>(DISK_LOCK, {
      workflowId: operationId(input),
      args: [input],
      parentClosePolicy: ParentClosePolicy.TERMINATE,
      staticSummary: oneLine(`held by ${input.by}`),
    });
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return null;
    throw error;
  }
}
