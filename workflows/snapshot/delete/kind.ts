/** DeleteSnapshot as a kind of operation, and what its status and its result say. */
import * as z from 'zod/mini';
import { WHOLE_VM, type StatusOf } from '../../operation/contract.ts';
import type { Kind } from '../../operation/kind.ts';
import { plainText, sizeBytes, volumePath } from '../../operation/names.ts';
import { limitWords } from '../../operation/words.ts';
import { deleteSnapshotInput, type DeleteSnapshotInput } from './request.ts';
import { deleteWords } from './words.ts';

export type DeletionPhase = 'merging' | 'deleting' | 'forgetting';

const diskState = z.strictObject({
  snapshot: plainText,
  disk: plainText,
  /** `left`: not begun, or ended by a cancel; the same request goes on with it. */
  state: z.enum([
    ...(['waiting', 'merging', 'merged', 'refused', 'failed', 'left'] as const),
    /** Of a snapshot inside of images. */
    ...(['deleting', 'deleted'] as const),
  ]),
  /** Why it is not done; null while there is no reason. */
  why: z.nullable(z.string()),
});
export type DiskState = z.output<typeof diskState>;

export interface DeletionStatus extends StatusOf<'DeleteSnapshot', DeletionPhase> {
  /** Each disk of each snapshot that goes, in the order of the deletion; none before the plan. */
  disks: DiskState[];
}

const deletionResult = () =>
  z.strictObject({
    outcome: z.enum(['deleted', 'already-done']),
    summary: z.string(),
    /** In the order of their deletion. */
    snapshots: z.array(plainText),
    disks: z.array(diskState),
    /** Layers, and files with a guest's memory. */
    deleted: z.array(volumePath),
    regainedBytes: sizeBytes,
    warnings: z.array(z.string()),
  });
export type DeleteSnapshotResult = z.infer<ReturnType<typeof deletionResult>>;

export const deletionKind: Kind<
  'DeleteSnapshot',
  DeleteSnapshotInput,
  DeleteSnapshotResult,
  DeletionStatus
> = {
  type: 'DeleteSnapshot',
  command: 'snapshot delete',
  of: 'a VM',
  request: deleteSnapshotInput,
  result: deletionResult,
  id: ({ vm }) => vm,
  words: deleteWords,
  distinction: () => ({}),
  subject: ({ vm }) => ({ vm, disk: WHOLE_VM }),
  requestRows: ({ bandwidthBytesPerSecond: limit, atOnce }) => [
    ['Limit of each merge', limit === 0 ? 'none' : limitWords(limit)],
    ['Merges at once', String(atOnce)],
  ],
  jobId: () => null,
  cancel: () => ({
    before: 'running merges are ended where that is still possible, disks that are done stay so',
    after: 'refused: no disk has it any more, so the deletion is completed',
  }),
  untouched: () => 'no disk was changed, the snapshot stays',
  facts: { disks: [] },
  statusRows: ({ vm, disks, bandwidthBytesPerSecond: limit }) => [
    ...disks.map(
      ({ snapshot, disk, state, why }) =>
        [`${snapshot}, ${disk}`, `${state}${why === null ? '' : `: ${why}`}`] as const,
    ),
    ...(disks.some(({ state }) => state === 'deleting' || state === 'deleted')
      ? []
      : ([
          ['Each merge', disks.length > 0 ? `workflow \`${vm}/DISK\`` : null],
          ['Limit of each', limit === 0 ? 'none' : limitWords(limit)],
        ] as const)),
  ],
  listed: ['merging', 'deleting'],
  measured: [],
  pastCopy: ['forgetting'],
  parts: {},
};
