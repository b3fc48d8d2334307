/** What a deletion of a snapshot is asked for: defined once, for clients, workflow and agents. */
import * as z from 'zod/mini';
import { hostName, plainName, plainText, sizeBytes, vmName } from '../../operation/names.ts';

export const deleteSnapshotInput = z.strictObject({
  vm: vmName,
  host: hostName,
  name: plainName,
  /** With those that were taken on it, or only those. */
  scope: z._default(z.enum(['snapshot', 'children', 'children-only']), 'snapshot'),
  /** Of each merge; 0 is no limit. */
  bandwidthBytesPerSecond: z._default(sizeBytes, 0),
  /** Merges of disks at the same time. */
  atOnce: z._default(z.int().check(z.minimum(1), z.maximum(16)), 2),
  requestedBy: z._default(plainText, 'unknown'),
});
export type DeleteSnapshotInput = z.output<typeof deleteSnapshotInput>;
export type DeleteSnapshotRequest = z.input<typeof deleteSnapshotInput>;
