/** What a removal is asked for: defined once, for clients, the workflow and its agents. */
import * as z from 'zod/mini';
import { copyTarget, namedVolume } from '../chain/references.ts';
import {
  foundFileName,
  hostName,
  imageFormat,
  newFileName,
  plainText,
  poolName,
  uuid,
} from '../operation/names.ts';

/** Users name what pools show; what a move or a copy leaves has whatever name it had. */
const isNamed = ({ volume, left, copies }: z.output<typeof fields>) =>
  left !== null || copies !== null || newFileName.safeParse(volume).success;

const fields = z.strictObject({
  host: hostName,
  pool: poolName,
  /** The active layer. */
  volume: foundFileName,
  format: imageFormat,
  wipe: z._default(z.boolean(), false),
  /**
   * The volumes that a move left behind, whose record it has switched; null: the chain of `volume`.
   */
  left: z._default(
    z.nullable(z.strictObject({ jobId: uuid, volumes: z.array(namedVolume) })),
    null,
  ),
  /** The copies that a move or a copy made in vain, while they are still one of these owners'. */
  copies: z._default(
    z.nullable(
      z.strictObject({
        jobId: uuid,
        owners: z.array(uuid).check(z.minLength(1)),
        to: copyTarget,
      }),
    ),
    null,
  ),
  requestedBy: z._default(plainText, 'unknown'),
});
export const removeImageInput = fields.check(
  z.refine(isNamed, { path: ['volume'], error: 'is not a file name' }),
);
export type RemoveImageInput = z.output<typeof removeImageInput>;
export type RemoveImageRequest = z.input<typeof removeImageInput>;

/**
 * A removal's id: the image's own; for what a move left, which is deleted while the next operation
 * may run, one of the job's: another move may leave another image of that name meanwhile.
 */
export function removalId({ pool, volume, left, copies }: RemoveImageInput): string {
  const id = `${pool}/${volume}`;
  if (copies) return `${id}/undo/${copies.owners[0]}`;
  return left ? `${id}/removal/${left.jobId}` : id;
}
