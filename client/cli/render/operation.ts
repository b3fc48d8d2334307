/** One operation as a page for a person: `status`. Pure. */
import type { OperationView, PartView } from '../../library/operation-view.ts';
import type { Screen } from '../screen.ts';
import { statusRows } from './by-kind.ts';
import { amountWords, currentProgress, notesOf, phaseOf } from '../../library/progress-words.ts';
import { durationWords, timeWords } from '../../library/times.ts';

export function operationLines(
  view: OperationView,
  paint: Screen['paint'],
  nowMs: number = Date.now(),
): string[] {
  const { id, status, startedAt, endedAt } = view;
  const progress = currentProgress(view);
  const running = view.state === 'running';
  const since = (iso: string) =>
    `${timeWords(iso)} (${durationWords((nowMs - Date.parse(iso)) / 1000)} ago)`;
  const row = (name: string, words: string) => `  ${name.padEnd(9)}${words}`;
  const end = endedAt ? [row('ended', since(endedAt))] : [];
  return [
    `${paint('bold', id)}  ${view.kind}  ${paintPhase(view, paint)}`,
    row('started', since(startedAt)),
    ...(running ? [] : end),
    ...(running && status ? [row('phase', `${status.phase} since ${since(status.since)}`)] : []),
    ...(progress ? [row('progress', amountWords(progress))] : []),
    ...notesOf(view).map((note) => row('note', paint('yellow', note))),
    ...(!running && status?.note ? [row('result', status.note)] : []),
    ...(status ? [row('host', status.host)] : []),
    ...(status ? statusRows(status) : []).map((r) => row(...r)),
    ...view.parts.map((part) => row(part.disk, partWords(part))),
    ...(running && status ? [row('cancel', cancelWords(status.cancel))] : []),
  ];
}

const partWords = ({ phase, progress }: PartView) =>
  progress === null ? phase : `${phase} ${amountWords(progress)}`;

const cancelWords = ({ possible, meaning }: { possible: boolean; meaning: string }) =>
  possible ? `possible: ${meaning}` : meaning;

function paintPhase(view: OperationView, paint: Screen['paint']): string {
  const style = { running: 'bold', done: 'green', cancelled: 'yellow' } as const;
  const known = view.state in style ? style[view.state as keyof typeof style] : 'red';
  return paint(known, phaseOf(view));
}
