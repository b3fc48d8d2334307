/** A short workflow that only looks: the plan behind `snapshot revert --dry-run`. */
import { assertUnusedElsewhere } from '../../chain/other-hosts.ts';
import { hostAgent, unheard } from '../../operation/agents.ts';
import { readQuestion } from '../../operation/request/request.ts';
import type { revertOnHost } from './activities.ts';
import type { RevertPlanOutcome } from './plan.ts';
import { discardedBy } from './planning.ts';
import { revertSnapshotInput, type RevertSnapshotInput } from './request.ts';
import { assertWhole } from './whole.ts';
import { revertWords } from './words.ts';

/** The plan that a revert would follow, or its refusal; nothing is touched. */
export async function PlanRevert(request: RevertSnapshotInput): Promise<RevertPlanOutcome> {
  const input = readQuestion(revertSnapshotInput, request);
  const agent = hostAgent<typeof revertOnHost>(input.host, unheard);
  const words = revertWords(input);
  const planned = await agent.observeRevertPlan(input, `plan ${words}`);
  const outcome = await assertWhole(words, planned);
  await assertUnusedElsewhere(unheard, discardedBy(words, outcome));
  return outcome;
}
