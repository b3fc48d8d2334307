/** What the host agent does for a removal; the deletion itself is one of the pools' (`pools/`). */
import { defineActivities } from '../operation/activities.ts';
import { removalPlan } from './plan.ts';
import { removeImageInput } from './request.ts';

export const removalOnHost = defineActivities({
  observeRemovalPlan: { input: removeImageInput, result: removalPlan, beats: 'while working' },
});
