/** The plan of a snapshot inside of images, as the host agent makes it. */
import { z } from 'zod';
import { namedVolume } from '../../chain/references.ts';
import {
  diskTarget,
  hostName,
  newFileName,
  plainText,
  uuid,
  vmName,
} from '../../operation/names.ts';

export const insidePlan = z.strictObject({
  vm: vmName,
  vmUuid: uuid,
  host: hostName,
  snapshot: newFileName,
  description: plainText,
  /** Seconds since 1970: what has its name and is not older is this one, or a part of it. */
  since: z.int().nonnegative(),
  /** All that the VM writes, with their images. */
  disks: z.array(z.strictObject({ disk: diskTarget, image: namedVolume })).min(1),
  /** Disks that it leaves out, and why. */
  left: z.array(z.strictObject({ disk: diskTarget, why: plainText })),
});
export type InsidePlan = z.infer<typeof insidePlan>;
