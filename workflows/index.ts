/** Every exported function is a workflow type of this name. */
export { LiveMerge } from './live-merge.ts';
export { ObserveChain, ObserveEvents, PlanMerge } from './observations.ts';
