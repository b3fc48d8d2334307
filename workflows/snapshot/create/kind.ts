/** CreateSnapshot as a kind of operation, and what its status and its result say. */
import * as z from 'zod/mini';
import { WHOLE_VM, type StatusOf } from '../../operation/contract.ts';
import type { Kind } from '../../operation/kind.ts';
import { diskTarget, newFileName, uuid, volumePath } from '../../operation/names.ts';
import { createSnapshotInput, type CreateSnapshotInput } from './request.ts';
import { createWords } from './words.ts';

export type CreationPhase =
  'waiting for the pool' | 'reserving' | 'switching' | 'taking' | 'listing';

export interface CreationStatus extends StatusOf<'CreateSnapshot', CreationPhase> {
  /** Null before the plan. */
  snapshot: string | null;
  disks: string[];
}

const creationResult = () =>
  z.strictObject({
    outcome: z.enum(['created', 'already-done']),
    summary: z.string(),
    snapshot: newFileName,
    jobId: z.nullable(uuid),
    disks: z.array(
      z.strictObject({
        disk: diskTarget,
        base: volumePath,
        /** Null of one inside of the base. */
        overlay: z.nullable(volumePath),
        /** Of one inside of the base. */
        id: z.optional(z.string()),
      }),
    ),
    /** Active layers after it. */
    chainAfter: z.array(volumePath),
    /** How long the guest stood still; null when the VM was down, or what measured it died. */
    stallMs: z.nullable(z.number().check(z.nonnegative())),
    /** The file systems of the guest were frozen at that moment. */
    quiesced: z.boolean(),
    warnings: z.array(z.string()),
  });
export type CreateSnapshotResult = z.infer<ReturnType<typeof creationResult>>;

export const creationKind: Kind<
  'CreateSnapshot',
  CreateSnapshotInput,
  CreateSnapshotResult,
  CreationStatus
> = {
  type: 'CreateSnapshot',
  command: 'snapshot create',
  of: 'a VM',
  request: createSnapshotInput,
  result: creationResult,
  id: ({ vm }) => vm,
  words: createWords,
  distinction: () => ({}),
  subject: ({ vm }) => ({ vm, disk: WHOLE_VM }),
  requestRows: ({ description }) => [['Description', description || null]],
  jobId: () => null,
  cancel: ({ internal }) => ({
    before: internal
      ? 'no image has it inside'
      : 'the overlays are deleted, the VM writes to the layers that it has',
    after: internal
      ? 'refused: QEMU has been asked to take it, so the snapshot is completed'
      : 'refused: the switch to the overlays has been requested, so the snapshot is completed',
  }),
  untouched: () => 'the VM writes to the layers that it had, nothing is left behind',
  facts: { snapshot: null, disks: [] },
  statusRows: ({ snapshot, disks, chainBefore, chainTarget, jobId }) => [
    ['Snapshot', snapshot && `\`${snapshot}\``],
    ['Disks', disks.join(', ') || null],
    ['Layers now', chainBefore.map((path) => `\`${path}\``).join(' ')],
    ['Overlays', chainTarget.map((path) => `\`${path}\``).join(' ')],
    ['Job', jobId && `\`${jobId}\``],
  ],
  listed: ['waiting for the pool', 'switching', 'taking'],
  measured: [],
  pastCopy: [],
  parts: {},
};
