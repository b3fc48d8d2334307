/** What the host agent does to take a snapshot inside of images, and to leave them sound. */
import { z } from 'zod';
import { namedVolume } from '../../chain/references.ts';
import { defineActivities } from '../../operation/activities.ts';
import { uuid, vmName } from '../../operation/names.ts';
import { createSnapshotInput } from '../create/request.ts';
import { insidePlan } from './plan.ts';

const reason = z.string();

export const insideOnHost = defineActivities({
  observeInsidePlan: {
    input: z.strictObject({
      request: createSnapshotInput,
      /** Of this name, one that was taken since this time is of an earlier run; ISO 8601. */
      since: z.nullable(z.iso.datetime()),
    }),
    result: insidePlan,
    beats: 'while working',
  },
  /** All images have it inside, or none. */
  ensureInsideTaken: {
    input: insidePlan,
    result: z.discriminatedUnion('outcome', [
      /** With its id in each image. */
      z.strictObject({ outcome: z.literal('taken'), ids: z.record(z.string(), z.string()) }),
      z.strictObject({ outcome: z.literal('not-taken'), reason }),
      /** It runs, or was saved, since it was planned; some images may have it. */
      z.strictObject({ outcome: z.literal('changed'), reason }),
    ]),
    beats: 'while working',
  },
  /** libvirt lists it. */
  ensureInsideListed: { input: insidePlan, result: z.void(), beats: 'while working' },
  /** Clusters that a killed QEMU has leaked are free, where no process has the image open. */
  ensureLeaksRepaired: {
    input: z.strictObject({ vm: vmName, vmUuid: uuid, images: z.array(namedVolume) }),
    /** What is wrong besides, in words. */
    result: z.array(z.string()),
    beats: 'while working',
  },
});
