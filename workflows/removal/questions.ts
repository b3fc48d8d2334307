/** A short workflow that only looks: the plan behind `rm --dry-run`. */
import type { chainOnHost } from '../chain/activities.ts';
import { assertUnusedElsewhere } from '../chain/other-hosts.ts';
import { hostAgent, unheard } from '../operation/agents.ts';
import { readQuestion } from '../operation/request/request.ts';
import type { removalOnHost } from './activities.ts';
import type { RemovalPlan } from './plan.ts';
import { removeImageInput, type RemoveImageInput } from './request.ts';

/** What `rm` would delete, or why it would not. */
export async function PlanRemoval(request: RemoveImageInput): Promise<RemovalPlan> {
  const input = readQuestion(removeImageInput, request);
  const attempted = `planning the removal of ${input.pool}/${input.volume}`;
  const agent = hostAgent<typeof removalOnHost & typeof chainOnHost>(input.host, unheard);
  const plan = await agent.observeRemovalPlan(input, attempted);
  const { sharedWith: hosts, volumes } = plan;
  await assertUnusedElsewhere(unheard, { attempted, hosts, volumes });
  return plan;
}
