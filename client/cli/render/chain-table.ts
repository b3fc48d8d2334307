/**
 * The chain of a disk for a person: volumes, views, where they differ, and whose job runs. Pure.
 */
import { basename } from 'node:path';
import type { ChainObservation } from '../../../workflows/chain/schemas.ts';
import type { Screen } from '../screen.ts';
import { columns } from './columns.ts';
import { chainWords } from './merge-result.ts';
import { sizeWords } from '../../../workflows/operation/words.ts';
import { shell } from '../../../workflows/operation/names.ts';

export function chainLines(chain: ChainObservation, paint: Screen['paint']): string[] {
  const { vm, disk, host, readOnly, transient } = chain;
  const flags = [
    vm.persistent ? 'persistent' : 'transient VM',
    ...(readOnly ? ['read-only disk'] : []),
    ...(transient ? ['transient disk'] : []),
  ];
  return [
    `${paint('bold', `${vm.name}/${disk}`)} on ${host}: ${vm.stateReason}, ${flags.join(', ')}`,
    '',
    ...volumeTable(chain, paint),
    '',
    ...viewLines(chain, paint),
    ...jobLines(chain, paint),
  ];
}

function volumeTable({ volumes, views, disk }: ChainObservation, paint: Screen['paint']): string[] {
  const open = new Set(views.open ?? []);
  const rows = volumes.map((volume, i) => [
    roleOf(i, volumes.length),
    volume.index === null ? '-' : `${disk}[${volume.index}]`,
    volume.format,
    sizeWords(volume.virtualSizeBytes),
    sizeWords(volume.allocatedBytes),
    volume.pool ?? 'NONE',
    views.open === null ? '-' : open.has(volume.path) ? 'yes' : 'NO',
    volume.path,
  ]);
  const heading = ['', 'INDEX', 'FORMAT', 'VIRTUAL', 'ALLOCATED', 'POOL', 'OPEN', 'PATH'];
  const [first = '', ...lines] = columns([heading, ...rows], new Set([3, 4]));
  const internal = volumes
    .filter((volume) => volume.internalSnapshots.length > 0)
    .map(
      (v) => `  ${basename(v.path)} holds internal snapshots: ${v.internalSnapshots.join(', ')}`,
    );
  return [paint('bold', first), ...lines, ...internal];
}

function roleOf(index: number, length: number): string {
  if (index === length - 1) return length === 1 ? 'only' : 'active';
  return index === 0 ? 'base' : '';
}

const VIEWS = {
  live: 'running domain',
  persistent: 'persistent XML',
  headers: 'headers on storage',
  open: 'open in QEMU',
} as const;

function viewLines({ views, disagreements }: ChainObservation, paint: Screen['paint']): string[] {
  const rows = Object.entries(VIEWS).map(([key, name]) => {
    const paths = views[key as keyof typeof VIEWS];
    return [`  ${name}`, paths === null ? '- (no such view now)' : chainWords(paths)];
  });
  const verdict =
    disagreements.length === 0
      ? [paint('green', 'The views agree.')]
      : disagreements.map((words) => paint('red', `The views differ: ${words}`));
  return ['Views, base ← active', ...columns(rows), ...verdict];
}

function jobLines({ job, record, vm, disk }: ChainObservation, paint: Screen['paint']): string[] {
  const owner = record ? `blockflow's job ${record.jobId}` : 'not a job of blockflow';
  return [
    ...(job
      ? [
          '',
          `${paint('bold', 'Job')} ${job.type}${job.ready ? ' (READY)' : ''}: ${sizeWords(
            job.copiedBytes,
          )} of ${sizeWords(job.totalBytes)}, ${owner}`,
        ]
      : []),
    ...(record
      ? [
          '',
          `Record of workflow ${record.workflow}: ${record.mode} merge, phase ${record.phase}`,
          `  top   ${record.top}`,
          `  base  ${record.base}`,
          ...(job || record.mode === 'cold'
            ? []
            : [`  no job runs: ${shell`blockflow merge ${vm.name} ${disk}`} goes on from here`]),
        ]
      : []),
  ];
}
