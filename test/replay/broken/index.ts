/**
 * LiveMerge with one activity more than the histories have: replaying them against it must fail.
 */
import { hostAgent } from '../../../workflows/agents.ts';
import { LiveMerge as Recorded } from '../../../workflows/live-merge.ts';
import type { LiveMergeInput, LiveMergeResult } from '../../../workflows/schemas.ts';

export async function LiveMerge(input: LiveMergeInput): Promise<LiveMergeResult> {
  const { vm, disk, host } = input;
  await hostAgent(host, () => undefined)('observeChain', { vm, disk, host }, 'one more look');
  return Recorded(input);
}
