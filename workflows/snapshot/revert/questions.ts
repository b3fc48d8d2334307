/** A short workflow that only looks: the plan behind `snapshot revert --dry-run`. */
import { hostAgent, unheard } from '../../operation/agents.ts';
import { readQuestion } from '../../operation/request/request.ts';
import type { revertOnHost } from './activities.ts';
import type { RevertPlanOutcome } from './plan.ts';
import { revertSnapshotInput, type RevertSnapshotInput } from './request.ts';
import { assertWhole } from './whole.ts';
import { revertWords } from './words.ts';

/** The plan that a revert would follow, or its refusal; nothing is touched. */
export async function PlanRevert(request: RevertSnapshotInput): Promise<RevertPlanOutcome> {
  const input = readQuestion(revertSnapshotInput, request);
  const agent = hostAgent<typeof revertOnHost>(input.host, unheard);
  const words = revertWords(input);
  return assertWhole(words, await agent.observeRevertPlan(input, `plan ${words}`));
}
