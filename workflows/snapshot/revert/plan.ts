/** The plan of a revert, as the host agent makes it, and the note that it leaves in the pools. */
import { z } from 'zod';
import { copyTarget, namedVolume } from '../../chain/references.ts';
import { notTouched } from '../../operation/activities.ts';
import {
  diskTarget,
  fileIdentity,
  hostName,
  imageFormat,
  plainName,
  plainText,
  snapshotName,
  sizeBytes,
  uuid,
  vmName,
  volumePath,
} from '../../operation/names.ts';
import { plannedDisk } from '../create/plan.ts';

/** What a record names, or has named. */
const layer = z.strictObject({
  volume: namedVolume,
  format: imageFormat,
  /** Its pool. */
  to: copyTarget,
});
export type RevertLayer = z.infer<typeof layer>;

/** A layer that must stay as it is while something stands on it. */
const fingerprint = z.strictObject({
  path: volumePath,
  identity: fileIdentity,
  sizeBytes,
  modifiedNs: z.string().regex(/^\d+$/),
});
export type Fingerprint = z.infer<typeof fingerprint>;

const revertedDisk = plannedDisk.extend({
  /** The active layer, which the revert discards. */
  retired: layer,
  /** All layers below that one, and the snapshot's. */
  below: notTouched(z.array(fingerprint)),
});
export type RevertedDisk = z.infer<typeof revertedDisk>;

export const revertPlan = z.strictObject({
  vm: vmName,
  vmUuid: uuid,
  host: hostName,
  snapshot: plainName,
  /** The snapshot that the VM runs on before; null without. */
  before: z.nullable(plainName),
  disks: z.array(revertedDisk).min(1),
  /** Disks that are not part of the snapshot. */
  stay: z.array(plainText),
  /** Of those that are a file, the layer that they had then. Absent in old plans. */
  stayed: notTouched(z.array(z.strictObject({ disk: plainText, layer: z.string() }))).optional(),
  /** ISO 8601; null where libvirt does not say. Absent in old plans. */
  takenAt: z.nullable(z.iso.datetime()).optional(),
  warnings: z.array(z.string()),
});
export type RevertPlan = z.infer<typeof revertPlan>;

const switchedDisk = z.strictObject({
  disk: diskTarget,
  from: layer,
  to: layer,
  below: notTouched(z.array(fingerprint)),
});

/** One change of a VM's record, for all of these disks. */
export const diskSwitch = z.strictObject({
  vm: vmName,
  vmUuid: uuid,
  disks: z.array(switchedDisk).min(1),
  /** What the VM runs on before and after; null where libvirt names none. */
  current: z.strictObject({ from: z.nullable(snapshotName), to: z.nullable(snapshotName) }),
});
export type DiskSwitch = z.infer<typeof diskSwitch>;

/**
 * `.blockflow/<job>/<owner>.json` in each pool with a layer of the revert. `begun`: overlays are
 * made, or are there. `kept`: the layers that the disks have left are in quarantine. `undoing`:
 * those get their names back. `undone`: they are the VM's again, and the overlays of the revert are
 * in quarantine.
 */
export const revertNote = z.strictObject({
  jobId: uuid,
  owner: uuid,
  workflow: plainText,
  /** ISO 8601: the newest one is what `--undo` means. */
  time: z.iso.datetime(),
  state: z.discriminatedUnion('phase', [
    z.strictObject({ phase: z.literal('begun'), plan: revertPlan }),
    z.strictObject({ phase: z.enum(['kept', 'undoing', 'undone']), change: diskSwitch }),
  ]),
});
export type RevertNote = z.infer<typeof revertNote>;

/** Hosts whose VMs may need what is discarded. Absent in old plans. */
const sharedWith = z.array(hostName).optional();

export const revertPlanOutcome = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('plan'), plan: revertPlan, sharedWith }),
  z.strictObject({
    kind: z.literal('undo'),
    note: revertNote,
    change: diskSwitch,
    sharedWith,
    /** When a later revert was undone, so that this is the one before it. */
    laterUndoneAt: z.iso.datetime().optional(),
  }),
  /** An earlier run has switched: it is completed before anything else. */
  z.strictObject({
    kind: z.literal('switched'),
    note: revertNote,
    change: diskSwitch,
    /** Whether that is what is asked for now. */
    isThis: z.boolean(),
  }),
  /** An earlier run has not: its overlays are deleted before anything else. */
  z.strictObject({ kind: z.literal('leftover'), note: revertNote, plan: revertPlan }),
  z.strictObject({ kind: z.literal('done'), reason: z.string() }),
]);
export type RevertPlanOutcome = z.infer<typeof revertPlanOutcome>;
