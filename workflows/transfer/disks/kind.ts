/** MoveDisks as a kind of operation, and what its status and its result say. */
import * as z from 'zod/mini';
import { WHOLE_VM, type StatusOf } from '../../operation/contract.ts';
import type { Kind } from '../../operation/kind.ts';
import { diskTarget, volumePath } from '../../operation/names.ts';
import { limitWords } from '../../operation/words.ts';
import { moveDisksInput, type MoveDisksInput } from './request.ts';
import { disksWords } from './words.ts';

export type DisksPhase =
  | 'waiting for space'
  | 'waiting for the pool'
  | 'copying'
  | 'waiting for a decision'
  | 'switching'
  | 'completing';

const diskState = z.strictObject({
  disk: diskTarget,
  /** `ready`: waits for the others; `left`: not begun, or undone as another one has failed. */
  state: z.enum([
    ...(['waiting', 'copying', 'ready'] as const),
    ...(['moved', 'copied', 'refused', 'failed', 'left'] as const),
  ]),
  /** Why it is not done; null while there is no reason. */
  why: z.nullable(z.string()),
});
export type DiskState = z.output<typeof diskState>;

export interface MoveDisksStatus extends StatusOf<'MoveDisks', DisksPhase> {
  /** Each disk that moves; none before the plan. */
  disks: DiskState[];
  /** `together`: in one suspension of the guest; null before the plan. */
  switch: 'together' | 'one after the other' | 'of a VM that is down' | null;
}

const moveDisksResult = () =>
  z.strictObject({
    outcome: z.enum(['moved', 'copied', 'kept', 'already-done']),
    summary: z.string(),
    disks: z.array(diskState),
    /** The copies, base-most first, disk by disk. */
    chainAfter: z.array(volumePath),
    /** For which the guest stood still at the switch of all disks; null for another switch. */
    stallMs: z.nullable(z.number()),
    /** Workflows that delete the sources. */
    removals: z.array(z.string()),
    warnings: z.array(z.string()),
  });
export type MoveDisksResult = z.infer<ReturnType<typeof moveDisksResult>>;

export const moveDisksKind: Kind<'MoveDisks', MoveDisksInput, MoveDisksResult, MoveDisksStatus> = {
  type: 'MoveDisks',
  command: 'move',
  of: 'a VM',
  request: moveDisksInput,
  result: moveDisksResult,
  id: ({ vm }) => vm,
  words: disksWords,
  distinction: () => ({}),
  subject: ({ vm }) => ({ vm, disk: WHOLE_VM }),
  requestRows: ({ bandwidthBytesPerSecond: limit, maxPauseMs }) => [
    ['Limit of each disk', limit === 0 ? 'none' : limitWords(limit)],
    ['Longest suspension', `${maxPauseMs} ms`],
  ],
  jobId: () => null,
  cancel: ({ sources, waitForDecision }) => ({
    before: 'the sources stay as they are, workflows of their own delete the copies',
    after:
      sources === 'keep'
        ? 'refused: the copies are there'
        : waitForDecision
          ? 'refused: what was decided is done, so the move is completed'
          : 'refused: disks have switched to their copies, so the move is completed',
  }),
  untouched: () => 'nothing was done',
  facts: { disks: [], switch: null },
  statusRows: ({ vm, disks, switch: how, bandwidthBytesPerSecond: limit }) => [
    ...disks.map(
      ({ disk, state, why }) => [disk, `${state}${why === null ? '' : `: ${why}`}`] as const,
    ),
    ['Switch', how],
    ['Each disk', disks.length > 0 ? `workflow \`${vm}/DISK\`` : null],
    ['Limit of each', disks.length === 0 ? null : limit === 0 ? 'none' : limitWords(limit)],
  ],
  listed: ['waiting for space', 'waiting for the pool', 'copying', 'switching', 'completing'],
  measured: ['copying'],
  pastCopy: ['waiting for a decision', 'switching', 'completing'],
  parts: {},
};
