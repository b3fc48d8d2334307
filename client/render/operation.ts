/** One operation as a page for a person: `status`. Pure. */
import type { OperationView } from '../operation-view.ts';
import type { Screen } from '../screen.ts';
import { chainWords } from './merge-result.ts';
import { copyWords, isCopying, notesOf, phaseOf } from './progress-line.ts';
import { durationWords, limitWords, sizeWords, timeWords } from './sizes.ts';

export function operationLines(
  view: OperationView,
  paint: Screen['paint'],
  nowMs: number = Date.now(),
): string[] {
  const { id, status, startedAt, endedAt, progress } = view;
  const running = view.state === 'running';
  const since = (iso: string) =>
    `${timeWords(iso)} (${durationWords((nowMs - Date.parse(iso)) / 1000)} ago)`;
  const row = (name: string, words: string) => `  ${name.padEnd(9)}${words}`;
  const end = endedAt ? [row('ended', since(endedAt))] : [];
  return [
    `${paint('bold', id)}  ${status?.operation ?? 'LiveMerge'}  ${paintPhase(view, paint)}`,
    row('started', since(startedAt)),
    ...(running ? [] : end),
    ...(running && status ? [row('phase', `${status.phase} since ${since(status.since)}`)] : []),
    ...(isCopying(view) && progress ? [row('progress', copyWords(progress))] : []),
    ...notesOf(view).map((note) => row('note', paint('yellow', note))),
    ...(!running && status?.note ? [row('result', status.note)] : []),
    ...(status ? [row('host', status.host)] : []),
    ...(status?.mode
      ? [
          row('mode', `${status.mode}, ${sizeWords(status.committedBytes)} to commit`),
          row('before', chainWords(status.chainBefore)),
          row('after', chainWords(status.chainTarget)),
          row('limit', limitWords(status.bandwidthBytesPerSecond)),
        ]
      : []),
    ...(running && status ? [row('cancel', cancelWords(status.cancel))] : []),
  ];
}

const cancelWords = ({ possible, meaning }: { possible: boolean; meaning: string }) =>
  possible ? `possible: ${meaning}` : meaning;

function paintPhase(view: OperationView, paint: Screen['paint']): string {
  const style = { running: 'bold', done: 'green', cancelled: 'yellow' } as const;
  const known = view.state in style ? style[view.state as keyof typeof style] : 'red';
  return paint(known, phaseOf(view));
}
