/** MoveImage and CopyImage as kinds of operations, and what their status and result say. */
import * as z from 'zod/mini';
import { imageId, type ImageRef } from '../chain/references.ts';
import type { StatusOf } from '../operation/contract.ts';
import type { Kind } from '../operation/kind.ts';
import { sizeBytes, uuid, volumePath } from '../operation/names.ts';
import { limitWords, sizeWords } from '../operation/words.ts';
import {
  copyImageInput,
  moveImageInput,
  type CopyImageInput,
  type MoveImageInput,
} from './request.ts';
import { copyWords, moveWords } from './words.ts';

export type TransferPhase =
  | 'waiting for space'
  | 'waiting for the pool'
  | 'reserving'
  | 'copying'
  | 'verifying'
  | 'naming'
  | 'mirroring'
  | 'waiting for a decision'
  | 'switching'
  | 'deleting';

export interface TransferStatus<
  Name extends 'MoveImage' | 'CopyImage' = 'MoveImage' | 'CopyImage',
> extends StatusOf<Name, TransferPhase> {
  /** Size of the image's volumes; 0 before the plan. */
  imageBytes: number;
}

const transferResult = () =>
  z.strictObject({
    outcome: z.enum(['moved', 'kept', 'copied', 'already-done']),
    summary: z.string(),
    jobId: z.nullable(uuid),
    chainBefore: z.array(volumePath),
    chainAfter: z.array(volumePath),
    copiedBytes: sizeBytes,
    verified: z.boolean(),
    /** Workflow that deletes the source; null where it stays, and when it could not be started. */
    removal: z.nullable(z.string()),
    warnings: z.array(z.string()),
  });
export type TransferResult = z.infer<ReturnType<typeof transferResult>>;

const subject = (image: ImageRef) =>
  image.kind === 'disk'
    ? { vm: image.vm, disk: image.disk }
    : { vm: image.pool, disk: image.volume };

const common = {
  of: 'an image',
  result: transferResult,
  id: ({ image }: { image: ImageRef }) => imageId(image),
  distinction: () => ({}),
  subject: ({ image }: { image: ImageRef }) => subject(image),
  requestRows: () => [],
  jobId: () => null,
  untouched: () => 'nothing was done',
  facts: { imageBytes: 0 },
  statusRows(status: TransferStatus) {
    const chain = (paths: string[]) => paths.map((path) => `\`${path}\``).join(' ← ');
    const { bandwidthBytesPerSecond: limit, imageBytes } = status;
    const copies = chain(status.chainTarget);
    return [
      ['Volumes', chain(status.chainBefore)],
      ['Copies', copies],
      ['Size', imageBytes > 0 ? sizeWords(imageBytes) : null],
      ['Limit', copies && (limit === 0 ? 'none' : limitWords(limit))],
      ['Job', status.jobId && `\`${status.jobId}\``],
    ] as const;
  },
  listed: [
    'waiting for space',
    'waiting for the pool',
    'copying',
    'verifying',
    'mirroring',
    'switching',
    'deleting',
  ],
  measured: ['copying', 'verifying', 'mirroring'],
  pastCopy: ['naming', 'waiting for a decision', 'switching', 'deleting', 'finished'],
  parts: {
    planning: 'plan',
    reserving: 'copy',
    copying: 'copy',
    verifying: 'verify',
    naming: 'switch',
    mirroring: 'copy',
    'waiting for a decision': 'copy',
    switching: 'switch',
    deleting: 'delete source',
  },
} as const;

export const moveKind: Kind<
  'MoveImage',
  MoveImageInput,
  TransferResult,
  TransferStatus<'MoveImage'>
> = {
  ...common,
  type: 'MoveImage',
  command: 'move',
  request: moveImageInput,
  words: moveWords,
  cancel: ({ waitForDecision }) => ({
    before: 'the source stays as it is, a workflow of its own deletes the copies',
    after: waitForDecision
      ? 'refused: what was decided is done, so the move is completed'
      : 'refused: the record names the copies, so the move is completed',
  }),
};

export const copyKind: Kind<
  'CopyImage',
  CopyImageInput,
  TransferResult,
  TransferStatus<'CopyImage'>
> = {
  ...common,
  type: 'CopyImage',
  command: 'copy',
  request: copyImageInput,
  words: copyWords,
  cancel: () => ({
    before: 'the source stays as it is, a workflow of its own deletes the copies',
    after: 'refused: the copy is there',
  }),
};
