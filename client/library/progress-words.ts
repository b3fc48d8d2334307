/** The state of an operation in one line. Pure. */
import { WAITING, type Progress } from '../../workflows/operation/contract.ts';
import { kinds } from '../../workflows/kinds.ts';
import type { OperationView } from './operation-view.ts';
import { sizeWords } from '../../workflows/operation/words.ts';
import { durationWords } from './times.ts';

/** `copying 42.0 %, 108.0 MiB of 256.0 MiB, 118.3 MiB/s, 3 s left`, then what is wrong. */
export function progressWords(view: OperationView): string {
  const progress = currentProgress(view);
  return [
    phaseOf(view) + (progress ? ` ${amountWords(progress)}` : ''),
    ...notesOf(view).map((note) => `- ${note}`),
  ].join(' ');
}

/** Null while the operation does nothing of which one could tell how far it is. */
export function currentProgress({ status, progress, state }: OperationView): Progress | null {
  if (state !== 'running' || progress?.phase === WAITING) return null;
  if (status === null) return progress;
  const measured: readonly string[] = kinds[status.operation].measured;
  return measured.includes(status.phase) ? progress : null;
}

export function phaseOf(view: OperationView): string {
  if (view.state !== 'running') return view.outcome ?? view.state;
  return view.status?.phase ?? view.progress?.phase ?? 'running';
}

/** What a person should know beside the phase: who is unavailable, why something waits. */
export function notesOf(view: OperationView): string[] {
  if (view.state !== 'running') return [];
  const { status, progress, troubles } = view;
  return [status?.away, status?.stuck, status?.note ?? progress?.note, ...troubles].filter(
    (note) => !!note,
  ) as string[];
}

export function amountWords(progress: Progress): string {
  const { percent, copiedBytes, totalBytes, rateBytesPerSecond, remainingSeconds } = progress;
  return [
    `${percent.toFixed(1)} %`,
    `${sizeWords(copiedBytes)} of ${sizeWords(totalBytes)}`,
    `${sizeWords(rateBytesPerSecond)}/s`,
    ...(remainingSeconds === null ? [] : [`${durationWords(remainingSeconds)} left`]),
  ].join(', ');
}
