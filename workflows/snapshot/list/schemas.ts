/** The snapshots of a VM, as its host's agent finds them: in libvirt, and on storage. */
import { z } from 'zod';
import { guestState } from '../../chain/schemas.ts';
import { hostName, sizeBytes, uuid, vmName } from '../../operation/names.ts';

/** Names that others gave, and paths that libvirt spells: any text. */
const text = z.string();

const snapshotDisk = z.strictObject({
  disk: text,
  kind: z.enum(['external', 'internal', 'manual', 'no']),
  /** Of an external one: the layer that came with it, into which the VM wrote from then on. */
  layer: text.nullable(),
  /**
   * `elsewhere`: it exists, but is not in the chain that the VM has now. `detached`: the VM has no
   * such disk any more. `kept`: a revert, or its undo, has discarded it, and keeps it in the pool's
   * `.blockflow/` for a while.
   */
  found: z.enum(['in chain', 'elsewhere', 'detached', 'kept', 'gone']).nullable(),
  allocatedBytes: sizeBytes,
  /** Of an internal one: in which image, and the id there; several when the name is there twice. */
  inside: z.array(z.strictObject({ path: text, id: text, memoryBytes: sizeBytes })),
});

const listedSnapshot = z.strictObject({
  name: text,
  parent: text.nullable(),
  /** ISO 8601. */
  takenAt: text.nullable(),
  description: text,
  kind: z.enum(['external', 'internal', 'mixed', 'none']),
  memory: z.enum(['no', 'internal', 'external']),
  memoryFile: text.nullable(),
  /** The VM runs on it: what it wrote since is in the layers of this one. */
  isCurrent: z.boolean(),
  disks: z.array(snapshotDisk),
  /** Of its layers and its memory file. */
  allocatedBytes: sizeBytes,
  /** What is wrong with it, in sentences. */
  faults: z.array(text),
});

export const snapshotTree = z.strictObject({
  vm: z.strictObject({ name: vmName, uuid, state: guestState, stateReason: text }),
  host: hostName,
  /** Parents first. */
  snapshots: z.array(listedSnapshot),
  /** Layers above the base of a disk that are of no snapshot. */
  unnamedLayers: z.array(z.strictObject({ disk: text, path: text, allocatedBytes: sizeBytes })),
  /** Snapshots inside of images that libvirt does not list. */
  unlistedInternal: z.array(
    z.strictObject({
      disk: text,
      path: text,
      id: text,
      name: text,
      /** ISO 8601. */
      takenAt: text,
      memoryBytes: sizeBytes,
    }),
  ),
  /** Disks that could not be looked at, and why. */
  faults: z.array(text),
});

export type SnapshotTree = z.infer<typeof snapshotTree>;
export type ListedSnapshot = SnapshotTree['snapshots'][number];
