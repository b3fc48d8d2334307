/**
 * The page of an operation in the Web UI: what is it doing, since when, what happens if I cancel.
 * Pure.
 */
import type { OperationStatus } from './contract.ts';
import type { MergePlan } from './schemas.ts';

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const time = (iso: string) => `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;

/** What a person calls a volume: its file's name. */
export const fileName = (path: string) => path.slice(path.lastIndexOf('/') + 1);
export const volumeCount = (count: number) => (count === 1 ? '1 volume' : `${count} volumes`);

/** What the activity that starts a commit does. */
export function commitWords({ committed, base }: Pick<MergePlan, 'committed' | 'base'>): string {
  const commit = `commit ${volumeCount(committed.length)} into ${fileName(base.path)}`;
  return `record the job in the domain, ${commit}`;
}

/** A markdown table; the live percentage is in the heartbeat of the pending activity. */
export function detailsOf(status: OperationStatus): string {
  const chain = (paths: string[]) => paths.map((path) => `\`${fileName(path)}\``).join(' ← ');
  const { phase, since, cancel, vm, disk } = status;
  const row = (key: string, value: string | null) => (value ? [[key, value] as const] : []);
  const rows = [
    ...row('Phase', `**${phase}** since ${time(since)}`),
    ...row('Away', status.away),
    ...row(phase === 'finished' ? 'Result' : 'Note', status.note),
    ...row('Progress', phase === 'copying' ? progress(vm, disk) : null),
    ...row('Cancel now', cancel.possible ? `possible: ${cancel.meaning}` : cancel.meaning),
    ...(status.mode
      ? [
          ...row('Chain before', chain(status.chainBefore)),
          ...row('Chain wanted', chain(status.chainTarget)),
          ...row('Mode', `${status.mode}, ${mebibytes(status.committedBytes)} to commit`),
          ...row('Limit', limit(status.bandwidthBytesPerSecond)),
          ...row('Job', `\`${status.jobId ?? ''}\``),
        ]
      : []),
  ];
  const lines = rows.map(([key, value]) => `| ${key} | ${cell(value)} |`);
  const title = `| ${vm}/${disk} | ${status.operation} on host ${status.host} |`;
  return [title, '|---|---|', ...lines].join('\n');
}

/** The figures change too often for the history of a workflow. */
const progress = (vm: string, disk: string) =>
  `percent and rate are on the page Pending Activities, and in \`blockflow status ${vm}/${disk}\``;

/** Bytes as MiB with one decimal. */
export const mebibytes = (bytes: number) => `${(bytes / 1048576).toFixed(1)} MiB`;

/** As a person is told of a new limit. */
export const limitWords = (bytesPerSecond: number) =>
  bytesPerSecond === 0 ? 'no limit' : `${mebibytes(bytesPerSecond)}/s`;

function limit(bytesPerSecond: number): string {
  if (bytesPerSecond === 0) return 'none';
  const small = bytesPerSecond < 1048576;
  return small ? `${(bytesPerSecond / 1024).toFixed(1)} KiB/s` : `${mebibytes(bytesPerSecond)}/s`;
}
