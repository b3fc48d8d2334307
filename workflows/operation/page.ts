/**
 * The page of an operation in the Web UI: what is it doing, since when, what happens if I cancel.
 * Pure.
 */
import type { OperationStatus } from './contract.ts';
import { utf8Length } from './name-patterns.ts';
import type { MergePlan } from '../chain/schemas.ts';

/** What a person calls a volume: its file's name. */
export const fileName = (path: string) => path.slice(path.lastIndexOf('/') + 1);
export const volumeCount = (count: number) => (count === 1 ? '1 volume' : `${count} volumes`);

/** What the activity that starts a commit does. */
export function commitWords({ committed, base }: Pick<MergePlan, 'committed' | 'base'>): string {
  const commit = `commit ${volumeCount(committed.length)} into ${fileName(base.path)}`;
  return `record the job in the domain, ${commit}`;
}

/** For a summary, of which Temporal refuses more than 200 bytes. */
export function oneLine(text: string): string {
  if (utf8Length(text) <= 200) return text;
  let cut = '';
  for (const char of text) {
    if (utf8Length(cut + char) > 197) break;
    cut += char;
  }
  return `${cut}…`;
}

type Row = readonly [key: string, value: string | null];
type Shown = Pick<OperationStatus, 'vm' | 'disk' | 'host' | 'since' | 'away' | 'note' | 'cancel'>;

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const time = (iso: string) => `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;

/** Phases of which the heartbeat of the pending activity tells how far they are. */
export const MEASURED_PHASES: readonly string[] = ['copying', 'verifying', 'wiping'];

/** A markdown table: what every operation tells, then `rows`; without a value they are left out. */
export function operationPage(
  { operation, phase, ...shown }: Shown & { operation: string; phase: string },
  rows: readonly Row[],
): string {
  const { vm, disk, host, since, away, note, cancel } = shown;
  const all: Row[] = [
    ['Phase', `**${phase}** since ${time(since)}`],
    ['Away', away],
    [phase === 'finished' ? 'Result' : 'Note', note],
    ['Progress', MEASURED_PHASES.includes(phase) ? progressWords(`${vm}/${disk}`) : null],
    ['Cancel now', cancel.possible ? `possible: ${cancel.meaning}` : cancel.meaning],
    ...rows,
  ];
  return table([`${vm}/${disk}`, `${operation} on host ${host}`], all);
}

/** Rows without a value are left out. */
export function table([first, second]: readonly [string, string], rows: readonly Row[]): string {
  const title = `| ${cell(first)} | ${cell(second)} |`;
  const lines = rows.flatMap(([key, value]) => (value ? [`| ${key} | ${cell(value)} |`] : []));
  return [title, '|---|---|', ...lines].join('\n');
}

/** The page of a merge. */
export function mergeDetails(status: OperationStatus): string {
  const chain = (paths: string[]) => paths.map((path) => `\`${fileName(path)}\``).join(' ← ');
  const { mode, bandwidthBytesPerSecond, committedBytes } = status;
  if (!mode) return operationPage(status, []);
  return operationPage(status, [
    ['Chain before', chain(status.chainBefore)],
    ['Chain wanted', chain(status.chainTarget)],
    ['Mode', `${mode}, ${mebibytes(committedBytes)} to commit`],
    ['Limit', bandwidthBytesPerSecond === 0 ? 'none' : limitWords(bandwidthBytesPerSecond)],
    ['Job', `\`${status.jobId ?? ''}\``],
  ]);
}

/** The figures change too often for the history of a workflow. */
const progressWords = (id: string) =>
  `percent and rate are on the page Pending Activities, and in \`blockflow status ${id}\``;

/** Bytes as MiB with one decimal. */
export const mebibytes = (bytes: number) => `${(bytes / 1048576).toFixed(1)} MiB`;

/** As a person is told of a limit. */
export function limitWords(bytesPerSecond: number): string {
  if (bytesPerSecond === 0) return 'no limit';
  const small = bytesPerSecond < 1048576;
  return small ? `${(bytesPerSecond / 1024).toFixed(1)} KiB/s` : `${mebibytes(bytesPerSecond)}/s`;
}
