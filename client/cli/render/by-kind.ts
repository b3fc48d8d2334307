/** How each kind of operation is shown: the facts of its status, and what it has done. Pure. */
import type { KindName, OperationResult, OperationStatus } from '../../../workflows/kinds.ts';
import type { MergeStatus } from '../../../workflows/merge/kind.ts';
import { limitWords, sizeWords } from '../../../workflows/operation/words.ts';
import type { RemovalStatus, RemoveImageResult } from '../../../workflows/removal/kind.ts';
import type {
  CreateSnapshotResult,
  CreationStatus,
} from '../../../workflows/snapshot/create/kind.ts';
import type {
  DeleteSnapshotResult,
  DeletionStatus,
  DiskState,
} from '../../../workflows/snapshot/delete/kind.ts';
import type {
  RevertSnapshotResult,
  RevertStatus,
} from '../../../workflows/snapshot/revert/kind.ts';
import type { MoveDisksResult, MoveDisksStatus } from '../../../workflows/transfer/disks/kind.ts';
import type { TransferResult, TransferStatus } from '../../../workflows/transfer/kind.ts';
import type { Screen } from '../screen.ts';
import { chainWords, msWords, noteLines, resultLines } from './merge-result.ts';
import { shell } from '../../../workflows/operation/names.ts';

type Row = [name: string, words: string];
type Paint = Screen['paint'];

interface Rendering<Status, Result> {
  statusRows(status: Status): Row[];
  resultLines(result: Result, paint: Paint): string[];
}

const merge: Rendering<MergeStatus, Parameters<typeof resultLines>[0]> = {
  statusRows: (status) =>
    status.mode === null
      ? []
      : [
          ['mode', `${status.mode}, ${sizeWords(status.committedBytes)} to commit`],
          ['before', chainWords(status.chainBefore)],
          ['after', chainWords(status.chainTarget)],
          ['limit', limitWords(status.bandwidthBytesPerSecond)],
        ],
  resultLines,
};

const planned = (status: TransferStatus | RemovalStatus): Row[] =>
  status.chainBefore.length === 0
    ? []
    : [
        ['size', sizeWords(status.imageBytes)],
        ['before', chainWords(status.chainBefore)],
      ];

const transfer: Rendering<TransferStatus, TransferResult> = {
  /** A copy is told by its path: its name is mostly that of its source. Nothing before the plan. */
  statusRows(status) {
    const { chainTarget } = status;
    const copies = chainTarget.map((path): Row => ['copy', path]);
    const limit: Row = ['limit', limitWords(status.bandwidthBytesPerSecond)];
    return [...planned(status), ...copies, ...(copies.length > 0 ? [limit] : [])];
  },
  resultLines: ({ summary, chainBefore, chainAfter, removal, warnings }, paint) => [
    `${paint('green', 'Done')}: ${summary}`,
    `  before   ${chainWords(chainBefore)}`,
    ...chainAfter.map((path) => `  copy     ${path}`),
    // Its failures are events of its own, not of the VM.
    ...(removal === null
      ? []
      : [
          `  deletion ${shell`blockflow status ${removal}`}`,
          `  events   ${shell`blockflow events ${removal}`}`,
        ]),
    ...noteLines(warnings, paint),
  ],
};

const removal: Rendering<RemovalStatus, RemoveImageResult> = {
  statusRows: planned,
  resultLines: ({ summary, deleted, warnings }, paint) => [
    `${paint('green', 'Done')}: ${summary}`,
    ...deleted.map((path) => `  deleted  ${path}`),
    ...noteLines(warnings, paint),
  ],
};

const creation: Rendering<CreationStatus, CreateSnapshotResult> = {
  statusRows: ({ snapshot, disks }) =>
    snapshot === null
      ? []
      : [
          ['snapshot', snapshot],
          ['disks', disks.join(', ')],
        ],
  resultLines: ({ summary, disks, stallMs, warnings }, paint) => [
    `${paint('green', 'Done')}: ${summary}`,
    ...disks.map(({ disk, base, overlay, id }) => {
      const where = overlay === null ? `, id ${id ?? '?'}` : ` ← ${overlay}`;
      return `  ${disk.padEnd(8)} ${base}${where}`;
    }),
    ...(stallMs === null ? [] : [`  pause    the guest stood still for ${msWords(stallMs)}`]),
    ...noteLines(warnings, paint),
  ],
};

const deletion: Rendering<DeletionStatus, DeleteSnapshotResult> = {
  statusRows: ({ vm, disks, bandwidthBytesPerSecond: limit }) => [
    ...disks.map((disk): Row => [disk.disk, diskWords(disk)]),
    ...(disks.some(({ state }) => state === 'merging')
      ? ([
          ['limit', `${limitWords(limit)}, of each merge`],
          ['merges', shell`blockflow status ${vm}/DISK`],
        ] as Row[])
      : []),
  ],
  resultLines: ({ summary, deleted, regainedBytes, warnings }, paint) => [
    `${paint('green', 'Done')}: ${summary}`,
    ...deleted.map((path) => `  deleted  ${path}`),
    ...(deleted.length > 0 ? [`  regained ${sizeWords(regainedBytes)}`] : []),
    ...noteLines(warnings, paint),
  ],
};

const diskWords = ({ snapshot, state, why }: DiskState) =>
  `${snapshot}: ${state}${why === null ? '' : ` (${why})`}`;

const revert: Rendering<RevertStatus, RevertSnapshotResult> = {
  statusRows: ({ snapshot, disks, chainBefore, chainTarget }) =>
    disks.length === 0
      ? []
      : [
          ...(snapshot === null ? [] : ([['snapshot', snapshot]] as Row[])),
          ['disks', disks.join(', ')],
          ['before', chainBefore.join(' ')],
          ['after', chainTarget.join(' ')],
        ],
  resultLines: ({ summary, disks, warnings }, paint) => [
    `${paint('green', 'Done')}: ${summary}`,
    ...disks.map(({ disk, before, now }) => `  ${disk.padEnd(8)} ${now}, before ${before}`),
    ...noteLines(warnings, paint),
  ],
};

const disks: Rendering<MoveDisksStatus, MoveDisksResult> = {
  statusRows: ({ vm, disks: all, switch: how, bandwidthBytesPerSecond: limit }) =>
    all.length === 0
      ? []
      : [
          ...all.map(({ disk, state, why }): Row => [
            disk,
            `${state}${why === null ? '' : ` (${why})`}`,
          ]),
          ['switch', how ?? ''],
          ['limit', `${limitWords(limit)}, of each disk`],
          ['moves', shell`blockflow status ${vm}/DISK`],
        ],
  resultLines: ({ summary, chainAfter, removals, warnings }, paint) => [
    `${paint('green', 'Done')}: ${summary}`,
    ...chainAfter.map((path) => `  copy     ${path}`),
    ...removals.map((id) => `  deletion ${shell`blockflow status ${id}`}`),
    ...noteLines(warnings, paint),
  ],
};

const renderings = {
  LiveMerge: merge,
  MoveImage: transfer,
  CopyImage: transfer,
  MoveDisks: disks,
  RemoveImage: removal,
  CreateSnapshot: creation,
  DeleteSnapshot: deletion,
  RevertSnapshot: revert,
} satisfies Record<KindName, Rendering<never, never>>;

const of = (kind: KindName) => renderings[kind] as Rendering<OperationStatus, OperationResult>;

/** The end of an operation of any kind. */
export const endLines = (kind: KindName, result: OperationResult, paint: Paint): string[] =>
  of(kind).resultLines(result, paint);

/** What only the status of its kind says. */
export const statusRows = (status: OperationStatus): Row[] =>
  of(status.operation).statusRows(status);
