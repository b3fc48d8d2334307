/** A short workflow that only looks: the plan behind `move --dry-run` and `copy --dry-run`. */
import { imageId } from '../chain/references.ts';
import { assertUnusedElsewhere } from '../chain/other-hosts.ts';
import { hostAgent, unheard } from '../operation/agents.ts';
import { readQuestion } from '../operation/request/request.ts';
import type { transferOnHost } from './activities.ts';
import type { ImagePlanOutcome } from './plan.ts';
import { planRequest, type PlanRequest } from './request.ts';

/** The plan that a move or a copy would follow, or its refusal. */
export async function PlanImage(asked: PlanRequest): Promise<ImagePlanOutcome> {
  const request = readQuestion(planRequest, asked);
  const attempted = `planning for ${imageId(request.image)}`;
  const agent = hostAgent<typeof transferOnHost>(request.host, unheard);
  const outcome = await agent.observeImagePlan(request, attempted);
  if (outcome.kind !== 'plan' || outcome.plan.switched) return outcome;
  const { sharedWith: hosts, volumes } = outcome.plan;
  await assertUnusedElsewhere(unheard, { attempted, hosts, volumes });
  return outcome;
}
