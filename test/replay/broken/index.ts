/** Each with one activity more than the histories have: replaying them against it must fail. */
import { hostAgent, unheard } from '../../../workflows/operation/agents.ts';
import { CopyImage as RecordedCopy } from '../../../workflows/transfer/copy-image.ts';
import type { CopyImageInput, MoveImageInput } from '../../../workflows/transfer/request.ts';
import type { RemoveImageInput } from '../../../workflows/removal/request.ts';
import type { DeleteSnapshotInput } from '../../../workflows/snapshot/delete/request.ts';
import { LiveMerge as Recorded } from '../../../workflows/merge/live-merge.ts';
import type { chainOnHost } from '../../../workflows/chain/activities.ts';
import type { poolsOnHost } from '../../../workflows/pools/activities.ts';
import {
  CreateSnapshot as RecordedCreation,
  DeleteSnapshot as RecordedDeletion,
  MoveDisks as RecordedDisks,
  RevertSnapshot as RecordedRevert,
} from '../../../workflows/index.ts';
import type { CreateSnapshotInput } from '../../../workflows/snapshot/create/request.ts';
import type { RevertSnapshotInput } from '../../../workflows/snapshot/revert/request.ts';
import type { MoveDisksInput } from '../../../workflows/transfer/disks/request.ts';
import { MoveImage as RecordedMove } from '../../../workflows/transfer/move-image.ts';
import { RemoveImage as RecordedRemoval } from '../../../workflows/removal/remove-image.ts';
import type { LiveMergeInput } from '../../../workflows/merge/request.ts';
import type { LiveMergeResult } from '../../../workflows/merge/kind.ts';

export async function LiveMerge(input: LiveMergeInput): Promise<LiveMergeResult> {
  const { vm, disk, host } = input;
  await hostAgent<typeof chainOnHost>(host, unheard).observeChain(
    { vm, disk, host },
    'one more look',
  );
  return Recorded(input);
}

const lookOnce = (host: string) =>
  hostAgent<typeof poolsOnHost>(host, unheard).observeLeases({}, 'one more look');

export async function MoveImage(input: MoveImageInput) {
  await lookOnce(input.host);
  return RecordedMove(input);
}

export async function CopyImage(input: CopyImageInput) {
  await lookOnce(input.host);
  return RecordedCopy(input);
}

export async function RemoveImage(input: RemoveImageInput) {
  await lookOnce(input.host);
  return RecordedRemoval(input);
}

export async function CreateSnapshot(input: CreateSnapshotInput) {
  await lookOnce(input.host);
  return RecordedCreation(input);
}

export async function DeleteSnapshot(input: DeleteSnapshotInput) {
  await lookOnce(input.host);
  return RecordedDeletion(input);
}

export async function MoveDisks(input: MoveDisksInput) {
  await lookOnce(input.host);
  return RecordedDisks(input);
}

export async function RevertSnapshot(input: RevertSnapshotInput) {
  await lookOnce(input.host);
  return RecordedRevert(input);
}
