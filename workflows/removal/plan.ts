/** The plan of a removal, as the host agent makes it. */
import { z } from 'zod';
import { namedVolume } from '../chain/references.ts';
import { hostName, sizeBytes } from '../operation/names.ts';

export const removalPlan = z.strictObject({
  volumes: z.array(namedVolume),
  totalBytes: sizeBytes,
  /** As in a plan of a move. */
  sharedWith: z.array(hostName),
  /** What was not looked at or does not follow, for users. Absent in old plans. */
  warnings: z.array(z.string()).optional(),
});

export type RemovalPlan = z.infer<typeof removalPlan>;
