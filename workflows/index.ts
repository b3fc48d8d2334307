/** Every exported function is a workflow type of this name. */
export { ObserveChain } from './chain/questions.ts';
export { LiveMerge } from './merge/live-merge.ts';
export { PlanMerge } from './merge/questions.ts';
export { ObserveEvents } from './operation/questions.ts';
export { ObserveLeases } from './pools/questions.ts';
export { PlanRemoval } from './removal/questions.ts';
export { RemoveImage } from './removal/remove-image.ts';
export { CreateSnapshot } from './snapshot/create/create-snapshot.ts';
export { PlanSnapshot } from './snapshot/create/questions.ts';
export { HoldDisk } from './snapshot/disk-locks.ts';
export { DeleteSnapshot } from './snapshot/delete/delete-snapshot.ts';
export { PlanSnapshotDeletion } from './snapshot/delete/questions.ts';
export { ListSnapshots } from './snapshot/list/questions.ts';
export { CopyImage } from './transfer/copy-image.ts';
export { MoveImage } from './transfer/move-image.ts';
export { PlanImage } from './transfer/questions.ts';
