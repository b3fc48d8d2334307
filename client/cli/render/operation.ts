/** One operation as a page for a person: `status`. Pure. */
import type { OperationStatus } from '../../../workflows/operation/contract.ts';
import type { OperationView } from '../../library/operation-view.ts';
import type { Screen } from '../screen.ts';
import { chainWords } from './merge-result.ts';
import { amountWords, currentProgress, notesOf, phaseOf } from './progress-line.ts';
import { durationWords, limitWords, sizeWords, timeWords } from './sizes.ts';

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
    `${paint('bold', id)}  ${status?.operation ?? 'LiveMerge'}  ${paintPhase(view, paint)}`,
    row('started', since(startedAt)),
    ...(running ? [] : end),
    ...(running && status ? [row('phase', `${status.phase} since ${since(status.since)}`)] : []),
    ...(progress ? [row('progress', amountWords(progress))] : []),
    ...notesOf(view).map((note) => row('note', paint('yellow', note))),
    ...(!running && status?.note ? [row('result', status.note)] : []),
    ...(status ? [row('host', status.host)] : []),
    ...(status ? (status.mode ? mergeRows(status) : imageRows(status)) : []).map((r) => row(...r)),
    ...(running && status ? [row('cancel', cancelWords(status.cancel))] : []),
  ];
}

type Row = [name: string, words: string];

const mergeRows = (status: OperationStatus): Row[] => [
  ['mode', `${status.mode}, ${sizeWords(status.committedBytes)} to commit`],
  ['before', chainWords(status.chainBefore)],
  ['after', chainWords(status.chainTarget)],
  ['limit', limitWords(status.bandwidthBytesPerSecond)],
];

/** A copy is told by its path: its name is mostly that of its source. Nothing before the plan. */
function imageRows({ chainBefore, chainTarget, ...status }: OperationStatus): Row[] {
  const size: Row = ['size', sizeWords(status.committedBytes)];
  const planned: Row[] = [size, ['before', chainWords(chainBefore)]];
  const limit: Row = ['limit', limitWords(status.bandwidthBytesPerSecond)];
  const copies: Row[] = [...chainTarget.map((path): Row => ['copy', path]), limit];
  return [...(chainBefore.length > 0 ? planned : []), ...(chainTarget.length > 0 ? copies : [])];
}

const cancelWords = ({ possible, meaning }: { possible: boolean; meaning: string }) =>
  possible ? `possible: ${meaning}` : meaning;

function paintPhase(view: OperationView, paint: Screen['paint']): string {
  const style = { running: 'bold', done: 'green', cancelled: 'yellow' } as const;
  const known = view.state in style ? style[view.state as keyof typeof style] : 'red';
  return paint(known, phaseOf(view));
}
