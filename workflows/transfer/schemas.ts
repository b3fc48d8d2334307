/**
 * The shapes of MoveImage, CopyImage and RemoveImage that cross a process boundary, as zod schemas.
 */
import { z } from 'zod';
import {
  BACKING_NAME,
  FILE_NAME,
  FILE_NAME_BYTES,
  FOUND_FILE_NAME,
  LIBVIRT_NAME,
  utf8Length,
} from '../operation/name-patterns.ts';
import {
  diskTarget,
  hostName,
  imageFormat,
  namedVolume,
  plainText,
  fileIdentity,
  sizeBytes,
  uuid,
  vmName,
  volumePath,
} from '../chain/schemas.ts';

/** A libvirt pool's name. */
export const poolName = z
  .string()
  .min(1)
  .max(255)
  .regex(LIBVIRT_NAME, 'is not a pool name as `virsh pool-list` prints it');
/** A file directly inside a pool's folder; hidden names are blockflow's own. */
export const fileName = z
  .string()
  .regex(FILE_NAME, 'is not a file name')
  .refine(isShort, `is longer than ${FILE_NAME_BYTES} bytes`);
/** The name of a file that is there, or of its copy. */
const foundFileName = z.string().max(255).regex(FOUND_FILE_NAME, 'is not a file name');
const backingName = z.string().max(1023).regex(BACKING_NAME, 'is not the name of a local file');

function isShort(name: string): boolean {
  return utf8Length(name) <= FILE_NAME_BYTES;
}

/** A VM's disk, or an image that belongs to no VM: named by its active layer. */
export const imageRef = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('disk'), vm: vmName, disk: diskTarget }),
  z.strictObject({
    kind: z.literal('volume'),
    pool: poolName,
    volume: fileName,
    /** Never probed: a guest can write any header into a raw image. */
    format: imageFormat,
  }),
]);

/** How copies are verified before the source may go. */
const verification = z.enum(['full', 'none']);

/** How much of its space a copy takes at once, in qemu-img's words. */
export const preallocation = z.enum(['off', 'metadata', 'falloc', 'full']);

const transfer = {
  host: hostName,
  image: imageRef,
  to: poolName,
  /** `keep` copies containers byte for byte; another format is only for an image of one volume. */
  format: z.enum(['keep', 'qcow2', 'raw']).default('keep'),
  preallocation: preallocation.default('off'),
  /** The only answer to a taken name. */
  ifExists: z.enum(['refuse']).default('refuse'),
  /** 0 is no limit. */
  bandwidthBytesPerSecond: sizeBytes.default(0),
  verify: verification.default('full'),
  requestedBy: plainText.default('unknown'),
};
export const moveImageInput = z.strictObject({ ...transfer, wipe: z.boolean().default(false) });
export const copyImageInput = z.strictObject({ ...transfer, name: fileName.optional() });

/** Where copies are made; by the folder's identity one sees whether its file system is mounted. */
export const copyTarget = z.strictObject({
  pool: poolName,
  folder: volumePath,
  identity: fileIdentity,
});

const removal = z.strictObject({
  host: hostName,
  pool: poolName,
  /** The active layer. */
  volume: foundFileName,
  format: imageFormat,
  wipe: z.boolean().default(false),
  /**
   * The volumes that a move left behind, whose record it has switched; null: the chain of `volume`.
   */
  left: z
    .strictObject({ jobId: uuid, volumes: z.array(namedVolume) })
    .nullable()
    .default(null),
  /** The copies that a move or a copy made in vain, while they are still one of these owners'. */
  copies: z
    .strictObject({ jobId: uuid, owners: z.array(uuid).min(1), to: copyTarget })
    .nullable()
    .default(null),
  requestedBy: plainText.default('unknown'),
});
/** Users name what pools show; what a move or a copy leaves has whatever name it had. */
export const removeImageInput = removal.refine(
  ({ volume, left, copies }) => left ?? copies ?? fileName.safeParse(volume).success,
  { path: ['volume'], error: 'is not a file name' },
);

/** One volume of the image: where it is, what it was when it was planned, and what it becomes. */
export const imageVolume = z.strictObject({
  path: volumePath,
  pool: plainText,
  format: imageFormat,
  identity: fileIdentity,
  sizeBytes,
  allocatedBytes: sizeBytes,
  /** Every write changes it; a start that writes nothing does not. */
  modifiedNs: z.string().regex(/^\d+$/),
  /** File name in the target pool. */
  name: foundFileName,
  /** Backing name for the header of the copy, null where the copy's header is right as it is. */
  rebase: z.strictObject({ name: backingName, format: imageFormat }).nullable(),
  /** The container that the copy is written into anew; null for the same bytes. */
  convert: z
    .strictObject({ format: imageFormat, preallocation, virtualSizeBytes: sizeBytes })
    .nullable()
    .default(null),
});

/** What an earlier run reserved in another pool than the one that is copied to now. */
const reservedElsewhere = z.strictObject({
  jobId: uuid,
  owner: uuid,
  to: copyTarget,
  /** Of the active layer. */
  volume: foundFileName,
  format: imageFormat,
  /** Its copies are in use by now, and stay. */
  isUsed: z.boolean(),
});

export const imagePlan = z.strictObject({
  host: hostName,
  /** Whose record is switched; null for a copy and for an image of no VM. */
  vm: z.strictObject({ name: vmName, uuid, disk: diskTarget }).nullable(),
  to: copyTarget,
  /** Base-most first. */
  volumes: z.array(imageVolume).min(1),
  /** libvirt's snapshots whose metadata must follow, parents first. */
  snapshots: z.array(plainText),
  totalBytes: sizeBytes,
  spaceNeededBytes: sizeBytes,
  spaceFreeBytes: sizeBytes,
  /** As asked for, or stricter: as what it adopts was. A manifest that does not say is of none. */
  verify: verification.default('none'),
  /** What an earlier run reserved, which this one goes on with. */
  adopted: z.strictObject({ jobId: uuid, owner: uuid }).nullable(),
  /** Reservations of earlier runs that are of no use any more. */
  leftovers: z.array(uuid),
  /** Those whose copies are in use by now: the copies stay. */
  usedLeftovers: z.array(uuid),
  /** Those of either kind in other pools. */
  elsewhere: z.array(reservedElsewhere).default([]),
  /** True when the record names the copies already, and only the source's deletion remains. */
  switched: z.boolean(),
  /** Other hosts that share the pools of a moved image: they are asked who uses it. */
  sharedWith: z.array(hostName),
});

export const imagePlanOutcome = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('plan'), plan: imagePlan }),
  z.strictObject({ kind: z.literal('done'), chain: z.array(volumePath), reason: z.string() }),
  z.strictObject({
    kind: z.literal('no-space'),
    path: volumePath,
    neededBytes: sizeBytes,
    freeBytes: sizeBytes,
  }),
]);

/**
 * `.blockflow/<job>/<owner>.json` in the target pool: whose reservation it is, for the next run
 * after a terminate. The owner is one run of the workflow, by an id of its own.
 */
export const reservation = z.strictObject({
  jobId: uuid,
  owner: uuid,
  workflow: plainText,
  plan: imagePlan,
});

export const removalPlan = z.strictObject({
  volumes: z.array(namedVolume),
  totalBytes: sizeBytes,
  /** As in a plan of a move. */
  sharedWith: z.array(hostName),
});

export const transferResult = z.strictObject({
  outcome: z.enum(['moved', 'copied', 'already-done']),
  summary: z.string(),
  jobId: uuid.nullable(),
  chainBefore: z.array(volumePath),
  chainAfter: z.array(volumePath),
  copiedBytes: sizeBytes,
  verified: z.boolean(),
  /** Workflow that deletes the source; null for a copy, and when it could not be started. */
  removal: z.string().nullable(),
  warnings: z.array(z.string()),
});

export const removeImageResult = z.strictObject({
  /** `kept`: copies made in vain, with which a repeated request goes on. */
  outcome: z.enum(['removed', 'kept']),
  summary: z.string(),
  deleted: z.array(volumePath),
  regainedBytes: sizeBytes,
  /** Every block that it had is overwritten. */
  wiped: z.boolean(),
  warnings: z.array(z.string()).default([]),
});

export type ImageRef = z.infer<typeof imageRef>;
export type MoveImageInput = z.infer<typeof moveImageInput>;
export type MoveImageRequest = z.input<typeof moveImageInput>;
export type CopyImageInput = z.infer<typeof copyImageInput>;
export type CopyImageRequest = z.input<typeof copyImageInput>;
export type RemoveImageInput = z.infer<typeof removeImageInput>;
export type RemoveImageRequest = z.input<typeof removeImageInput>;
export type ImageVolume = z.infer<typeof imageVolume>;
export type Conversion = NonNullable<ImageVolume['convert']>;
export type ImagePlan = z.infer<typeof imagePlan>;
export type ImagePlanOutcome = z.infer<typeof imagePlanOutcome>;
export type Reservation = z.infer<typeof reservation>;
export type RemovalPlan = z.infer<typeof removalPlan>;
export type TransferResult = z.infer<typeof transferResult>;
export type RemoveImageResult = z.infer<typeof removeImageResult>;

/** A pool and its SPM, as `blockflow spm` shows them. */
export const poolLease = z.strictObject({
  pool: z.string(),
  type: z.string(),
  /** Why no agent can serve this pool; null for a file pool. */
  unserved: z.string().nullable(),
  /** The present holder of the lease, or the last one; null when there never was one. */
  last: z
    .strictObject({
      version: z.int().positive(),
      holder: z.string(),
      /** ISO 8601. */
      since: z.string(),
      isHeld: z.boolean(),
    })
    .nullable(),
});
export type PoolLease = z.infer<typeof poolLease>;
