/** What a move or a copy of several disks is asked for: once, for clients, workflow and agents. */
import * as z from 'zod/mini';
import {
  diskTarget,
  hostName,
  plainText,
  poolName,
  sizeBytes,
  vmName,
} from '../../operation/names.ts';
import { verification } from '../request.ts';

/** For which the guest may stand still when its disks are switched. */
const pauseMs = z.int().check(z.minimum(1), z.maximum(60_000));

const request = z.strictObject({
  vm: vmName,
  host: hostName,
  to: poolName,
  /** Null for all that are not there yet. */
  disks: z._default(z.nullable(z.array(diskTarget).check(z.minLength(1), z.maxLength(64))), null),
  /** A copy is of one moment over all disks of a running VM, and touches no record. */
  sources: z._default(z.enum(['delete', 'keep']), 'delete'),
  /** 0 is no limit; of each disk. */
  bandwidthBytesPerSecond: z._default(sizeBytes, 0),
  verify: z._default(verification, 'full'),
  wipe: z._default(z.boolean(), false),
  maxPauseMs: z._default(pauseMs, 200),
  requestedBy: z._default(plainText, 'unknown'),
});

export const moveDisksInput = request.check(
  z.refine(({ disks }) => disks === null || new Set(disks).size === disks.length, {
    path: ['disks'],
    error: 'names a disk twice',
  }),
  z.refine(({ sources, wipe }) => sources === 'delete' || !wipe, {
    path: ['wipe'],
    error: 'is of sources that are deleted',
  }),
);
export type MoveDisksInput = z.output<typeof moveDisksInput>;
export type MoveDisksRequest = z.input<typeof moveDisksInput>;
