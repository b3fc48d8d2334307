/** A short workflow that only looks: the plan behind `snapshot create --dry-run`. */
import { hostAgent, unheard } from '../../operation/agents.ts';
import { readQuestion } from '../../operation/request.ts';
import type { snapshotOnHost } from './activities.ts';
import type { SnapshotPlanOutcome } from './plan.ts';
import { createSnapshotInput, type CreateSnapshotInput } from './request.ts';

/** The plan that a snapshot would follow, or its refusal; nothing is touched. */
export async function PlanSnapshot(request: CreateSnapshotInput): Promise<SnapshotPlanOutcome> {
  const input = readQuestion(createSnapshotInput, request);
  const agent = hostAgent<typeof snapshotOnHost>(input.host, unheard);
  return agent.observeSnapshotPlan(input, `plan a snapshot of ${input.vm}`);
}
