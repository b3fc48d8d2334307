/** A short workflow that only looks: the plan behind `merge --dry-run`. */
import { assertUnusedElsewhere } from '../chain/other-hosts.ts';
import { hostAgent, unheard } from '../operation/agents.ts';
import { readQuestion } from '../operation/request/request.ts';
import type { mergeOnHost } from './activities.ts';
import { sharedVolumes } from './planning.ts';
import type { PlanOutcome } from './plan.ts';
import { liveMergeInput, type LiveMergeInput } from './request.ts';

/** The plan that a merge would follow, or its refusal; nothing is touched. */
export async function PlanMerge(request: LiveMergeInput): Promise<PlanOutcome> {
  const input = readQuestion(liveMergeInput, request);
  const summary = `plan a merge of ${input.vm}/${input.disk}`;
  const agent = hostAgent<typeof mergeOnHost>(input.host, unheard);
  const outcome = await agent.observeMergePlan(input, summary);
  if (outcome.kind === 'plan') await assertUnusedElsewhere(unheard, sharedVolumes(outcome.plan));
  return outcome;
}
