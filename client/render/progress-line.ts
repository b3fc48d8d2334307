/** The state of an operation in one line. Pure. */
import type { Progress } from '../../workflows/contract.ts';
import type { OperationView } from '../operation-view.ts';
import { durationWords, sizeWords } from './sizes.ts';

/** `copying 42.0 %, 108.0 MiB of 256.0 MiB, 118.3 MiB/s, 3 s left`, then what is wrong. */
export function progressWords(view: OperationView): string {
  const copying = isCopying(view) && view.progress;
  return [
    phaseOf(view) + (copying ? ` ${copyWords(copying)}` : ''),
    ...notesOf(view).map((note) => `- ${note}`),
  ].join(' ');
}

/** True while the percentage of the heartbeat is of interest. */
export function isCopying({ status, progress, state }: OperationView): boolean {
  if (state !== 'running' || !progress) return false;
  return status === null || status.phase === 'copying';
}

export function phaseOf(view: OperationView): string {
  if (view.state !== 'running') return view.state;
  return view.status?.phase ?? view.progress?.phase ?? 'running';
}

/** What a person should know beside the phase: who is away, why something waits. */
export function notesOf(view: OperationView): string[] {
  if (view.state !== 'running') return [];
  const { status, progress, troubles } = view;
  return [status?.away, status?.note ?? progress?.note, ...troubles].filter(
    (note) => !!note,
  ) as string[];
}

export function copyWords(progress: Progress): string {
  const { percent, copiedBytes, totalBytes, rateBytesPerSecond, remainingSeconds } = progress;
  return [
    `${percent.toFixed(1)} %`,
    `${sizeWords(copiedBytes)} of ${sizeWords(totalBytes)}`,
    `${sizeWords(rateBytesPerSecond)}/s`,
    ...(remainingSeconds === null ? [] : [`${durationWords(remainingSeconds)} left`]),
  ].join(', ');
}
