/** What a merge is asked for: defined once, for clients, the workflow and its agents. */
import * as z from 'zod/mini';
import { diskRef } from '../chain/references.ts';
import { convergenceInput } from '../operation/steering/convergence-input.ts';
import { plainName, plainText, sizeBytes, volumeName } from '../operation/names.ts';

const flag = z._default(z.boolean(), false);

export const liveMergeInput = z.extend(diskRef, {
  top: z.optional(volumeName),
  base: z.optional(volumeName),
  snapshot: z.optional(plainName),
  shallow: flag,
  /** 0 is no limit. */
  bandwidthBytesPerSecond: z._default(sizeBytes, 0),
  keepOverlay: flag,
  keepRelative: flag,
  keepVolumes: flag,
  ifBusy: z._default(z.enum(['wait', 'refuse']), 'refuse'),
  onVmStop: z._default(z.enum(['fail', 'continue']), 'fail'),
  waitForDecision: flag,
  ...convergenceInput,
  requestedBy: z._default(plainText, 'unknown'),
});
export type LiveMergeInput = z.output<typeof liveMergeInput>;
export type LiveMergeRequest = z.input<typeof liveMergeInput>;
