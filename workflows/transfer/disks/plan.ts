/** The plan of a move of several disks, as the host agent and the moves of its disks make it. */
import { z } from 'zod';
import { diskTarget, plainText, uuid, vmName } from '../../operation/names.ts';
import { imagePlan, lack } from '../plan.ts';

/** What the host says of the VM. */
export const disksFound = z.strictObject({
  vm: vmName,
  vmUuid: uuid,
  state: z.enum(['running', 'paused', 'off']),
  disks: z.array(diskTarget).min(1),
  /** Those that no request moves, and why. */
  left: z.array(z.strictObject({ disk: plainText, why: z.string() })),
  /** For which the guest will stand still for each disk, by what this host has measured before. */
  stallMsOfEach: z.int().nonnegative(),
});
export type DisksFound = z.infer<typeof disksFound>;

export const howSwitched = z.enum(['together', 'one after the other', 'of a VM that is down']);
export type HowSwitched = z.infer<typeof howSwitched>;

export const disksPlan = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('plan'),
    found: disksFound,
    switch: howSwitched,
    /** For which the guest will stand still when all switch together. */
    expectedStallMs: z.int().nonnegative(),
    /** Those that are not there yet. */
    disks: z.array(z.strictObject({ disk: diskTarget, plan: imagePlan })),
    /** Those that are in the target pool already. */
    there: z.array(diskTarget),
  }),
  z.strictObject({ kind: z.literal('done'), reason: z.string() }),
]);
export type DisksPlan = z.infer<typeof disksPlan>;
/** Or what one of them, or all, wait for. */
export const disksOutcome = z.union([disksPlan, lack]);
