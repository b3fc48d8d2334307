/** What agents do with the chain of a disk, for every operation. */
import { z } from 'zod';
import { defineActivities } from '../operation/activities.ts';
import { diskRef, namedVolume } from './references.ts';
import { chainObservation, volumeUse } from './schemas.ts';

/** Of the host agent. */
export const chainOnHost = defineActivities({
  /** The chain in its four views, and where they disagree. */
  observeChain: { input: diskRef, result: chainObservation, beats: 'while working' },
  /** Who uses these volumes on this host; asked by an operation of another one. */
  observeUses: {
    input: z.strictObject({ volumes: z.array(namedVolume) }),
    result: z.array(volumeUse),
    beats: 'while working',
  },
  /** Until no block job runs on the disk. */
  awaitDiskIdle: { input: diskRef, result: z.void(), beats: 'by itself' },
});
