/** RevertSnapshot as a kind of operation, and what its status and its result say. */
import * as z from 'zod/mini';
import { WHOLE_VM, type StatusOf } from '../../operation/contract.ts';
import type { Kind } from '../../operation/kind.ts';
import { diskTarget, plainName, uuid, volumePath } from '../../operation/names.ts';
import { revertSnapshotInput, type RevertSnapshotInput } from './request.ts';
import { durationWords, revertWords } from './words.ts';

export type RevertPhase =
  'waiting for the pool' | 'reserving' | 'restoring' | 'switching' | 'retiring' | 'starting';

export interface RevertStatus extends StatusOf<'RevertSnapshot', RevertPhase> {
  /** Null before the plan, and of an undo. */
  snapshot: string | null;
  disks: string[];
}

const revertResult = () =>
  z.strictObject({
    outcome: z.enum(['reverted', 'undone', 'already-done']),
    summary: z.string(),
    /** The one that the VM's tree grows from now. */
    snapshot: z.nullable(plainName),
    jobId: z.nullable(uuid),
    disks: z.array(z.strictObject({ disk: diskTarget, before: volumePath, now: volumePath })),
    /** Active layers after it. */
    chainAfter: z.array(volumePath),
    /** ISO 8601: when what was discarded is deleted; null when nothing was. */
    keptUntil: z.nullable(z.string()),
    started: z.boolean(),
    warnings: z.array(z.string()),
  });
export type RevertSnapshotResult = z.infer<ReturnType<typeof revertResult>>;

export const revertKind: Kind<
  'RevertSnapshot',
  RevertSnapshotInput,
  RevertSnapshotResult,
  RevertStatus
> = {
  type: 'RevertSnapshot',
  command: 'snapshot revert',
  of: 'a VM',
  request: revertSnapshotInput,
  result: revertResult,
  id: ({ vm }) => vm,
  words: revertWords,
  distinction: () => ({}),
  subject: ({ vm }) => ({ vm, disk: WHOLE_VM }),
  requestRows: ({ keepSeconds }) => [['What is discarded is kept', durationWords(keepSeconds)]],
  jobId: () => null,
  cancel: ({ undo }) => ({
    before: undo
      ? 'what the revert has discarded stays so, and the disks stay as they are'
      : 'the new overlays are deleted, and the disks stay as they are',
    after: "refused: the change of the VM's record has been requested, so it is completed",
  }),
  untouched: () => 'the VM has the layers that it had',
  facts: { snapshot: null, disks: [] },
  statusRows: ({ snapshot, disks, chainBefore, chainTarget, jobId }) => [
    ['Snapshot', snapshot && `\`${snapshot}\``],
    ['Disks', disks.join(', ') || null],
    ['Layers now', chainBefore.map((path) => `\`${path}\``).join(' ')],
    ['Layers then', chainTarget.map((path) => `\`${path}\``).join(' ')],
    ['Job', jobId && `\`${jobId}\``],
  ],
  listed: ['waiting for the pool', 'switching'],
  measured: [],
  pastCopy: [],
  parts: {},
};
