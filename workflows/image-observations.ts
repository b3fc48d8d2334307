/** Short workflows that only look: the plans behind `--dry-run`. */
import { hostAgent, type Call } from './agents.ts';
import type { ImagePlanOutcome, PoolLease } from './image-schemas.ts';
import type { RemovalPlan, RemoveImageInput } from './image-schemas.ts';
import { imageId, type ImageHostActivities, type PlanRequest } from './move-contract.ts';

function agentOf(host: string): Call<ImageHostActivities> {
  const agent: unknown = hostAgent(host, () => undefined);
  return agent as Call<ImageHostActivities>;
}

/** The plan that a move or a copy would follow, or its refusal. */
export function PlanImage(request: PlanRequest): Promise<ImagePlanOutcome> {
  return agentOf(request.host)('observeImagePlan', request, `plan ${imageId(request.image)}`);
}

/** What `rm` would delete, or why it would not. */
export function PlanRemoval(input: RemoveImageInput): Promise<RemovalPlan> {
  const summary = `plan the removal of ${input.pool}/${input.volume}`;
  return agentOf(input.host)('observeRemovalPlan', input, summary);
}

/** The pools of a host and their SPMs. */
export function ObserveLeases({ host }: { host: string }): Promise<PoolLease[]> {
  return agentOf(host)('observeLeases', {}, `look who is the SPM of each pool of ${host}`);
}
