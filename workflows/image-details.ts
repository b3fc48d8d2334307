/** The page of an operation on an image in the Web UI. Pure. */
import { mebibytes } from './details.ts';
import type { ImageStatus } from './move-contract.ts';

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** A markdown table; the live percentage is in the heartbeat of the pending activity. */
export function imageDetails(status: ImageStatus): string {
  const chain = (paths: string[]) => paths.map((path) => `\`${path}\``).join(' ← ');
  const { bandwidthBytesPerSecond: limit, committedBytes: size } = status;
  const rows: [string, string | null][] = [
    ['Phase', `**${status.phase}** since ${status.since}`],
    ['Away', status.away],
    ['Note', status.note],
    ['Volumes', status.chainBefore.length > 0 ? chain(status.chainBefore) : null],
    ['Copies', status.chainTarget.length > 0 ? chain(status.chainTarget) : null],
    ['Size', size > 0 ? mebibytes(size) : null],
    [
      'Job',
      status.jobId && `\`${status.jobId}\`, limit ${limit ? `${mebibytes(limit)}/s` : 'none'}`,
    ],
    ['Cancel now', status.cancel.meaning],
    ['Host', status.host],
  ];
  const lines = rows.flatMap(([key, value]) => (value ? [`| ${key} | ${cell(value)} |`] : []));
  return [`| ${status.vm}/${status.disk} | ${status.operation} |`, '|---|---|', ...lines].join(
    '\n',
  );
}
