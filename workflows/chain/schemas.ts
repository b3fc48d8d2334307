/**
 * What a chain is, as agents report it: shapes that cross a process boundary. Workflow code takes
 * the types only, as classic zod in a workflow bundle costs memory in every cached workflow.
 */
import { z } from 'zod';
import {
  diskTarget,
  fileIdentity,
  hostName,
  imageFormat,
  plainText,
  sizeBytes,
  uuid,
  vmName,
  volumePath,
} from '../operation/names.ts';
import { namedVolume } from './references.ts';

export const volume = z.strictObject({
  path: volumePath,
  /** libvirt's index in the running chain (`vda[2]`), null when the VM is down. */
  index: z.int().nonnegative().nullable(),
  format: imageFormat,
  identity: fileIdentity,
  virtualSizeBytes: sizeBytes,
  allocatedBytes: sizeBytes,
  /** Pool that contains the path, null when no active pool does. */
  pool: z.nullable(plainText),
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

/** What the domain's metadata says of an operation, so that a user can see whose job it is. */
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
  /** Whose record it is: XML is copied with all that is in it. Absent in old records. */
  vmUuid: z.optional(uuid),
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

/** One libvirt snapshot whose metadata must follow the merge. */
export const snapshotChange = z.strictObject({
  name: plainText,
  action: z.enum(['delete', 'redefine']),
});

/** Who refers to a volume: a domain, a snapshot of one, or another chain. */
export const volumeUse = z.strictObject({
  kind: z.enum(['domain', 'snapshot', 'child']),
  /** The volume referred to. */
  path: volumePath,
  /** Who refers to it, in words. */
  by: z.string(),
});

export type Volume = z.infer<typeof volume>;
export type GuestState = z.infer<typeof guestState>;
export type BlockJob = z.infer<typeof blockJob>;
export type JobRecord = z.infer<typeof jobRecord>;
export type ChainObservation = z.infer<typeof chainObservation>;
export type SnapshotChange = z.infer<typeof snapshotChange>;
export type VolumeUse = z.infer<typeof volumeUse>;
