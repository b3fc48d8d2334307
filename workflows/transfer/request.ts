/** What a move and a copy are asked for: defined once, for clients, workflows and agents. */
import * as z from 'zod/mini';
import { imageRef } from '../chain/references.ts';
import { convergenceInput } from '../operation/steering/convergence-input.ts';
import { hostName, newFileName, plainText, poolName, sizeBytes } from '../operation/names.ts';

/** How copies are verified before the source may go. */
export const verification = z.enum(['full', 'none']);

export const copyFormat = z.enum(['keep', 'qcow2', 'raw']);

/** How much of its space a copy takes at once, in qemu-img's words. */
export const preallocation = z.enum(['off', 'metadata', 'falloc', 'full']);

const flag = z._default(z.boolean(), false);

const transfer = z.strictObject({
  host: hostName,
  image: imageRef,
  to: poolName,
  /** `keep` copies containers byte for byte; another format is only for an image of one volume. */
  format: z._default(copyFormat, 'keep'),
  preallocation: z._default(preallocation, 'off'),
  /** One volume instead of the chain. */
  flatten: flag,
  /** The only answer to a taken name. */
  ifExists: z._default(z.enum(['refuse']), 'refuse'),
  /** 0 is no limit. */
  bandwidthBytesPerSecond: z._default(sizeBytes, 0),
  verify: z._default(verification, 'full'),
  requestedBy: z._default(plainText, 'unknown'),
});

export const moveImageInput = z.extend(transfer, {
  wipe: flag,
  /** Of a running VM: stops at READY. */
  waitForDecision: flag,
  /** Of a running VM: a write of the guest ends once the copy has it, too. */
  synchronousWrites: flag,
  ...convergenceInput,
  /** When the VM stops before the switch. */
  onVmStop: z._default(z.enum(['fail', 'continue']), 'fail'),
  /** What is waited for at READY is the move of several disks of the VM, not a person. */
  withOthers: z.optional(z.literal(true)),
  /** Part of a copy of several disks: its mirror ends without a pivot, and nothing is deleted. */
  keepsSource: z.optional(z.literal(true)),
});
export const copyImageInput = z.extend(transfer, {
  name: z.optional(newFileName),
  /** Part of a copy of several disks of a VM that is down: its source when all were planned. */
  asOf: z.optional(z.array(plainText)),
});

/** What a plan is for: a copy touches no record, and may be of a shared image. */
export const planRequest = z.discriminatedUnion('operation', [
  z.extend(moveImageInput, { operation: z.literal('MoveImage') }),
  z.extend(copyImageInput, { operation: z.literal('CopyImage') }),
]);

/** Nothing of the source is deleted, and no record is touched. */
export const keepsSource = (request: PlanRequest): boolean =>
  request.operation === 'CopyImage' || request.keepsSource === true;

export type MoveImageInput = z.output<typeof moveImageInput>;
export type MoveImageRequest = z.input<typeof moveImageInput>;
export type CopyImageInput = z.output<typeof copyImageInput>;
export type CopyImageRequest = z.input<typeof copyImageInput>;
export type PlanRequest = z.output<typeof planRequest>;
