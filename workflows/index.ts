/** Every exported function is a workflow type of this name. */
export { CopyImage } from './copy-image.ts';
export { ObserveLeases, PlanImage, PlanRemoval } from './image-observations.ts';
export { LiveMerge } from './live-merge.ts';
export { MoveImage } from './move-image.ts';
export { ObserveChain, ObserveEvents, PlanMerge } from './observations.ts';
export { RemoveImage } from './remove-image.ts';
