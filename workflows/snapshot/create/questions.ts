/** A short workflow that only looks: the plan behind `snapshot create --dry-run`. */
import { hostAgent, unheard } from '../../operation/agents.ts';
import { unlessOurs } from '../../operation/parts.ts';
import { readQuestion } from '../../operation/request/request.ts';
import type { insideOnHost } from '../inside/activities.ts';
import type { snapshotOnHost } from './activities.ts';
import type { CreationPlan } from './plan.ts';
import { createSnapshotInput, type CreateSnapshotInput } from './request.ts';

/** The plan that a snapshot would follow, or its refusal; nothing is touched. */
export async function PlanSnapshot(request: CreateSnapshotInput): Promise<CreationPlan> {
  const input = readQuestion(createSnapshotInput, request);
  const agent = hostAgent<typeof snapshotOnHost & typeof insideOnHost>(input.host, unheard);
  if (input.internal) {
    const question = { request: input, since: null };
    const plan = await agent.observeInsidePlan(question, `plan a snapshot inside of ${input.vm}`);
    return { kind: 'inside', plan };
  }
  const attempted = `plan a snapshot of ${input.vm}`;
  const planning = agent.observeSnapshotPlan(input, attempted);
  return planning.catch(unlessOurs({ vm: input.vm, attempted }));
}
