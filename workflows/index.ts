/** Every exported function is a workflow type of this name. */
export { CopyImage } from './transfer/copy-image.ts';
export { ObserveLeases, PlanImage, PlanRemoval } from './transfer/questions.ts';
export { LiveMerge } from './merge/live-merge.ts';
export { MoveImage } from './transfer/move-image.ts';
export { ObserveChain, ObserveEvents, PlanMerge } from './chain/questions.ts';
export { RemoveImage } from './removal/remove-image.ts';
