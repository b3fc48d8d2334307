/** What a revert is asked for: defined once, for clients, workflow and agents. */
import * as z from 'zod/mini';
import { vmRef } from '../../chain/references.ts';
import { plainName, plainText } from '../../operation/names.ts';

const LONGEST_KEEP_SECONDS = 10 * 365 * 86_400;

export const revertSnapshotInput = z
  .extend(vmRef, {
    /** As libvirt lists it; null with `undo`. */
    name: z._default(z.nullable(plainName), null),
    /** Brings back what the last revert has discarded. */
    undo: z._default(z.boolean(), false),
    /** Starts the VM at the end. */
    start: z._default(z.boolean(), false),
    /** Goes back to the disks of a snapshot with memory, without that. */
    dropMemory: z._default(z.boolean(), false),
    /** How long that which is discarded can be brought back. */
    keepSeconds: z._default(
      z.int().check(z.minimum(1), z.maximum(LONGEST_KEEP_SECONDS)),
      7 * 86_400,
    ),
    requestedBy: z._default(plainText, 'unknown'),
  })
  .check(
    z.refine(
      ({ name, undo }) => (name === null) === undo,
      'takes either the name of a snapshot or `undo`',
    ),
  );
export type RevertSnapshotInput = z.output<typeof revertSnapshotInput>;
export type RevertSnapshotRequest = z.input<typeof revertSnapshotInput>;
