/** Each with one activity more than the histories have: replaying them against it must fail. */
import { hostAgent } from '../../../workflows/operation/agents.ts';
import { CopyImage as RecordedCopy } from '../../../workflows/transfer/copy-image.ts';
import type {
  CopyImageInput,
  MoveImageInput,
  RemoveImageInput,
} from '../../../workflows/transfer/schemas.ts';
import { LiveMerge as Recorded } from '../../../workflows/merge/live-merge.ts';
import type { ImageHostActivities } from '../../../workflows/transfer/activities.ts';
import { MoveImage as RecordedMove } from '../../../workflows/transfer/move-image.ts';
import { RemoveImage as RecordedRemoval } from '../../../workflows/removal/remove-image.ts';
import type { LiveMergeInput, LiveMergeResult } from '../../../workflows/chain/schemas.ts';

export async function LiveMerge(input: LiveMergeInput): Promise<LiveMergeResult> {
  const { vm, disk, host } = input;
  await hostAgent(host, () => undefined)('observeChain', { vm, disk, host }, 'one more look');
  return Recorded(input);
}

const lookOnce = (host: string) =>
  hostAgent<ImageHostActivities>(host, () => undefined)('observeLeases', {}, 'one more look');

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
