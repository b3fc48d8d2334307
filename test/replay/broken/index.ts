/** Each with one activity more than the histories have: replaying them against it must fail. */
import { hostAgent } from '../../../workflows/agents.ts';
import { CopyImage as RecordedCopy } from '../../../workflows/copy-image.ts';
import type { CopyImageInput, MoveImageInput } from '../../../workflows/image-schemas.ts';
import type { RemoveImageInput } from '../../../workflows/image-schemas.ts';
import { LiveMerge as Recorded } from '../../../workflows/live-merge.ts';
import type { ImageHostActivities } from '../../../workflows/move-contract.ts';
import { MoveImage as RecordedMove } from '../../../workflows/move-image.ts';
import { RemoveImage as RecordedRemoval } from '../../../workflows/remove-image.ts';
import type { LiveMergeInput, LiveMergeResult } from '../../../workflows/schemas.ts';

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
