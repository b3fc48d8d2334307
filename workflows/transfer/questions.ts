/** Short workflows that only look: the plans behind `--dry-run`. */
import { hostAgent } from '../operation/agents.ts';
import type { ImagePlanOutcome, PoolLease, RemovalPlan, RemoveImageInput } from './schemas.ts';
import { imageId, type ImageHostActivities, type PlanRequest } from './activities.ts';
import { assertUnusedElsewhere } from '../operation/other-hosts.ts';
import { hostQuestion, imageQuestion, removalQuestion } from '../operation/request-check.ts';

const agentOf = (host: string) => hostAgent<ImageHostActivities>(host, () => undefined);

/** The plan that a move or a copy would follow, or its refusal. */
export async function PlanImage(asked: PlanRequest): Promise<ImagePlanOutcome> {
  const request = imageQuestion(asked);
  const attempted = `planning for ${imageId(request.image)}`;
  const outcome = await agentOf(request.host)('observeImagePlan', request, attempted);
  if (outcome.kind !== 'plan' || outcome.plan.switched) return outcome;
  const { sharedWith: hosts, volumes } = outcome.plan;
  await assertUnusedElsewhere(agentOf, { attempted, hosts, volumes });
  return outcome;
}

/** What `rm` would delete, or why it would not. */
export async function PlanRemoval(request: RemoveImageInput): Promise<RemovalPlan> {
  const input = removalQuestion(request);
  const attempted = `planning the removal of ${input.pool}/${input.volume}`;
  const plan = await agentOf(input.host)('observeRemovalPlan', input, attempted);
  const { sharedWith: hosts, volumes } = plan;
  await assertUnusedElsewhere(agentOf, { attempted, hosts, volumes });
  return plan;
}

/** The pools of a host and their SPMs. */
export async function ObserveLeases(request: { host: string }): Promise<PoolLease[]> {
  const { host } = hostQuestion(request);
  return agentOf(host)('observeLeases', {}, `look who is the SPM of each pool of ${host}`);
}
