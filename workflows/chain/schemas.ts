/**
 * The shapes that cross a process boundary, as zod schemas. Client and activities parse with them;
 * workflow code imports the types only, because zod in a workflow bundle costs memory in every
 * cached workflow.
 */
import { z } from 'zod';
import {
  DISK_TARGET,
  FILE_IDENTITY,
  HOST_NAME,
  LIBVIRT_NAME,
  PLAIN_TEXT,
  UUID,
  VOLUME_NAME,
  VOLUME_PATH,
} from '../operation/name-patterns.ts';

/**
 * A libvirt domain name. libvirt forbids `/` and newlines in it; a leading `-` could become an
 * option.
 */
export const vmName = z
  .string()
  .min(1)
  .max(255)
  .regex(LIBVIRT_NAME, 'is not a VM name as `virsh list --all` prints it');
/** A disk's target device, as `virsh domblklist` prints it. */
export const diskTarget = z.string().regex(DISK_TARGET, 'is not a disk target such as vda');
/** Also those that RFC 4122 does not know: a VM may have any. */
export const uuid = z.string().regex(UUID, 'is not a UUID');
/** Absolute path of a volume, without `.` and `..`. */
export const volumePath = z.string().max(4096).regex(VOLUME_PATH, 'is not an absolute path');
/** A volume as the user names it: a path, a name in its pool, or an index such as vda[2]. */
export const volumeName = z.string().min(1).max(4096).regex(VOLUME_NAME, 'is not a volume name');
export const hostName = z.string().regex(HOST_NAME, 'is not a host');
/** What others have named: a line of a script, and an attribute in XML, can hold it. */
export const plainText = z.string().max(1000).regex(PLAIN_TEXT, 'holds control characters');
export const sizeBytes = z.int().nonnegative();
/**
 * Identity of a file that a rename keeps and a new file of the same name does not: `device:inode`.
 */
export const fileIdentity = z.string().regex(FILE_IDENTITY);
export const imageFormat = z.enum(['raw', 'qcow2']);

export const diskRef = z.strictObject({ vm: vmName, disk: diskTarget, host: hostName });

export const volume = z.strictObject({
  path: volumePath,
  /** libvirt's index in the running chain (`vda[2]`), null when the VM is down. */
  index: z.int().nonnegative().nullable(),
  format: imageFormat,
  identity: fileIdentity,
  virtualSizeBytes: sizeBytes,
  allocatedBytes: sizeBytes,
  /** Pool that contains the path, null when no active pool does. */
  pool: plainText.nullable(),
  internalSnapshots: z.array(z.string()),
});

export const guestState = z.enum(['running', 'paused', 'off']);

export const blockJob = z.strictObject({
  type: z.string(),
  copiedBytes: sizeBytes,
  totalBytes: sizeBytes,
  bandwidthBytesPerSecond: sizeBytes,
  ready: z.boolean(),
});

export const namedVolume = z.strictObject({
  path: volumePath,
  pool: plainText,
  identity: fileIdentity,
});

/** What the domain's metadata says of an operation, so that anybody can see whose job it is. */
export const jobRecord = z.strictObject({
  jobId: uuid,
  workflow: plainText,
  disk: diskTarget,
  mode: z.enum(['active', 'inner', 'cold']),
  phase: z.enum(['commit', 'pivot']),
  top: volumePath,
  base: volumePath,
  /** Volumes to delete once the merge is proven, with the identity that was planned. */
  deletes: z.array(namedVolume),
});

export const chainObservation = z.strictObject({
  vm: z.strictObject({
    name: vmName,
    uuid,
    state: guestState,
    stateReason: z.string(),
    persistent: z.boolean(),
  }),
  disk: diskTarget,
  host: hostName,
  readOnly: z.boolean(),
  transient: z.boolean(),
  /** Base-most volume first, active layer last. */
  volumes: z.array(volume),
  /** The four views as paths, base-most first; null where a view does not exist. */
  views: z.strictObject({
    live: z.array(z.string()).nullable(),
    persistent: z.array(z.string()).nullable(),
    headers: z.array(z.string()),
    open: z.array(z.string()).nullable(),
  }),
  disagreements: z.array(z.string()),
  job: blockJob.nullable(),
  record: jobRecord.nullable(),
});

export const liveMergeInput = z.strictObject({
  vm: vmName,
  disk: diskTarget,
  host: hostName,
  top: volumeName.optional(),
  base: volumeName.optional(),
  snapshot: plainText.min(1).max(255).optional(),
  shallow: z.boolean().default(false),
  /** 0 is no limit. */
  bandwidthBytesPerSecond: sizeBytes.default(0),
  keepOverlay: z.boolean().default(false),
  keepRelative: z.boolean().default(false),
  keepVolumes: z.boolean().default(false),
  ifBusy: z.enum(['wait', 'refuse']).default('refuse'),
  onVmStop: z.enum(['fail', 'continue']).default('fail'),
  waitForDecision: z.boolean().default(false),
  requestedBy: plainText.default('unknown'),
});

/** One libvirt snapshot whose metadata must follow the merge. */
export const snapshotChange = z.strictObject({
  name: plainText,
  action: z.enum(['delete', 'redefine']),
});

export const mergePlan = z.strictObject({
  vm: vmName,
  vmUuid: uuid,
  disk: diskTarget,
  host: hostName,
  mode: z.enum(['active', 'inner', 'cold']),
  persistent: z.boolean(),
  /** Null for a new job; the record found when an earlier run's job is adopted. */
  adopted: jobRecord.nullable(),
  /** True when the chain already lacks the committed volumes and only deletion remains. */
  alreadyMerged: z.boolean(),
  chainBefore: z.array(volume).min(1),
  top: volume,
  base: volume,
  /** The volume above top, whose backing file becomes base; null when top is the active layer. */
  overlay: volume.nullable(),
  /** Volumes that leave the chain: above base, up to and including top. */
  committed: z.array(volume),
  deletes: z.array(namedVolume),
  snapshots: z.array(snapshotChange),
  spaceNeededBytes: sizeBytes,
  spaceFreeBytes: sizeBytes,
  /** Other hosts that have a pool of these volumes: to be asked who uses them there. */
  sharedWith: z.array(hostName),
});

export const planOutcome = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('plan'), plan: mergePlan }),
  z.strictObject({ kind: z.literal('done'), chain: z.array(volume), reason: z.string() }),
  z.strictObject({ kind: z.literal('busy'), job: blockJob, reason: z.string() }),
  z.strictObject({
    kind: z.literal('no-space'),
    path: volumePath,
    neededBytes: sizeBytes,
    freeBytes: sizeBytes,
  }),
]);

export const liveMergeResult = z.strictObject({
  outcome: z.enum(['merged', 'kept', 'already-done']),
  summary: z.string(),
  mode: z.enum(['active', 'inner', 'cold']).nullable(),
  jobId: uuid.nullable(),
  chainBefore: z.array(volumePath),
  chainAfter: z.array(volumePath),
  deleted: z.array(volumePath),
  regainedBytes: sizeBytes,
  committedBytes: sizeBytes,
  /** Guest pause caused by the pivot; null when there was none or the script that timed it died. */
  stallMs: z.number().nonnegative().nullable(),
  readyToPivotMs: z.number().nonnegative().nullable(),
  warnings: z.array(z.string()),
});

export const auditEvent = z.strictObject({
  /** Unique for ever: `<workflow run>/<name>`; a second append of it changes nothing. */
  id: z.string().regex(/^[A-Za-z0-9._-]{1,200}$/),
  /** ISO 8601, from the workflow's clock. */
  time: z.iso.datetime(),
  operation: z.string(),
  workflowId: z.string(),
  vm: vmName,
  /** A volume's name, in the pool that stands for the VM, for an image of no VM. */
  disk: plainText.min(1).max(255),
  host: hostName,
  kind: z.enum([
    'started',
    'merged',
    'moved',
    'copied',
    'removed',
    'kept',
    'already-done',
    'cancelled',
    'cancel-refused',
    'failed',
    'refused',
  ]),
  /** The request in words: equal words are the same request. */
  request: z.string(),
  who: z.string(),
  reason: z.string(),
  before: z.array(z.string()),
  after: z.array(z.string()),
});

export type DiskRef = z.infer<typeof diskRef>;
export type Volume = z.infer<typeof volume>;
export type GuestState = z.infer<typeof guestState>;
export type BlockJob = z.infer<typeof blockJob>;
export type NamedVolume = z.infer<typeof namedVolume>;
export type JobRecord = z.infer<typeof jobRecord>;
export type ChainObservation = z.infer<typeof chainObservation>;
export type LiveMergeInput = z.infer<typeof liveMergeInput>;
export type LiveMergeRequest = z.input<typeof liveMergeInput>;
export type SnapshotChange = z.infer<typeof snapshotChange>;
export type MergePlan = z.infer<typeof mergePlan>;
export type PlanOutcome = z.infer<typeof planOutcome>;
export type LiveMergeResult = z.infer<typeof liveMergeResult>;
export type AuditEvent = z.infer<typeof auditEvent>;
