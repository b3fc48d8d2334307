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
import { convergenceInput } from '../../operation/steering/convergence-input.ts';
import { copyFormat, preallocation, verification } from '../request.ts';

const flag = z._default(z.boolean(), false);

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
  /** Of each copy, as for one disk. */
  format: z._default(copyFormat, 'keep'),
  preallocation: z._default(preallocation, 'off'),
  flatten: flag,
  wipe: flag,
  /** Of a running VM: stops when all are READY. */
  waitForDecision: flag,
  synchronousWrites: flag,
  /** `continue` goes on cold with what is copied; each disk switches by itself then. */
  onVmStop: z._default(z.enum(['fail', 'continue']), 'fail'),
  /** The guest stands still for the switch for `maxPauseMs` at most, also without `converge`. */
  ...convergenceInput,
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
  z.refine(({ sources, waitForDecision }) => sources === 'delete' || !waitForDecision, {
    path: ['waitForDecision'],
    error: 'is of a move: a copy ends at READY',
  }),
  z.refine(({ waitForDecision, onVmStop }) => !waitForDecision || onVmStop === 'fail', {
    path: ['onVmStop'],
    error: 'would take the decision that waitForDecision waits for',
  }),
  z.refine(({ sources, onVmStop }) => sources === 'delete' || onVmStop === 'fail', {
    path: ['onVmStop'],
    error: 'is of a move: the copies of a VM that stops would be of several moments',
  }),
);
export type MoveDisksInput = z.output<typeof moveDisksInput>;
export type MoveDisksRequest = z.input<typeof moveDisksInput>;
