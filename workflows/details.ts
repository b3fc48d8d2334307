/** The page of an operation in the Web UI: what is it doing, since when, what happens if I cancel. Pure. */
import type { OperationStatus } from './contract.ts';

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const name = (path: string) => path.slice(path.lastIndexOf('/') + 1);

/** A markdown table; the live percentage is in the heartbeat of the pending activity. */
export function detailsOf(status: OperationStatus): string {
  const chain = (paths: string[]) => paths.map((path) => `\`${name(path)}\``).join(' ← ');
  const rows: [string, string][] = [
    ['Phase', `**${status.phase}** since ${status.since}`],
    ...(status.away ? [['Away', status.away] as [string, string]] : []),
    ...(status.note ? [['Note', status.note] as [string, string]] : []),
    ...(status.mode
      ? ([
          ['Mode', `${status.mode}, ${mebibytes(status.committedBytes)} to commit`],
          ['Chain before', chain(status.chainBefore)],
          ['Chain after', chain(status.chainTarget)],
          ['Job', `\`${status.jobId ?? ''}\`, limit ${limit(status.bandwidthBytesPerSecond)}`],
        ] as [string, string][])
      : []),
    ['Progress', progress(status)],
    ['Cancel now', status.cancel.meaning],
    ['Host', status.host],
  ];
  const lines = rows.map(([key, value]) => `| ${key} | ${cell(value)} |`);
  return [`| ${status.vm}/${status.disk} | ${status.operation} |`, '|---|---|', ...lines].join('\n');
}

function progress(status: OperationStatus): string {
  if (status.phase === 'copying') return 'live in the heartbeat of the pending activity: percent, rate';
  return status.phase === 'finished' ? 'ended' : status.phase;
}

/** Bytes as MiB with one decimal. */
export const mebibytes = (bytes: number) => `${(bytes / 1048576).toFixed(1)} MiB`;

const limit = (bytesPerSecond: number) =>
  bytesPerSecond === 0 ? 'none' : `${mebibytes(bytesPerSecond)}/s`;
