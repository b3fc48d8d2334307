/** What the creation of a snapshot is asked for: defined once, for clients, workflow and agents. */
import * as z from 'zod/mini';
import { vmRef } from '../../chain/references.ts';
import { diskTarget, newFileName, plainText } from '../../operation/names.ts';

const request = z.extend(vmRef, {
  /** libvirt's name of it, and the end of the names of the overlays; null: the time. */
  name: z._default(z.nullable(newFileName), null),
  /** Only these; without any, all that the guest writes. */
  disks: z._default(z.array(diskTarget), []),
  exclude: z._default(z.array(diskTarget), []),
  /** Whether the guest agent freezes the file systems meanwhile. */
  quiesce: z._default(z.enum(['no', 'try', 'require']), 'no'),
  /** Inside of the images, while the VM is down; no overlays are made. */
  internal: z._default(z.boolean(), false),
  description: z._default(plainText, ''),
  requestedBy: z._default(plainText, 'unknown'),
});

export const createSnapshotInput = request.check(
  z.refine(({ internal, name }) => !internal || name === null || !/^\d+$/.test(name), {
    path: ['name'],
    error: "must not be a number with `internal`: QEMU's tools would take it for an id",
  }),
  z.refine(({ internal, quiesce }) => !internal || quiesce === 'no', {
    path: ['quiesce'],
    error: 'needs a guest that runs, and `internal` one that is down',
  }),
);
export type CreateSnapshotInput = z.output<typeof createSnapshotInput>;
export type CreateSnapshotRequest = z.input<typeof createSnapshotInput>;
