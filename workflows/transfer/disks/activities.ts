/** What the host agent says of the disks of a VM that are to move. */
import { defineActivities } from '../../operation/activities.ts';
import { disksFound } from './plan.ts';
import { moveDisksInput } from './request.ts';

export const disksOnHost = defineActivities({
  observeDisks: { input: moveDisksInput, result: disksFound, beats: 'while working' },
});
