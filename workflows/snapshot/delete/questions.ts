/** A short workflow that only looks: the plan behind `snapshot delete --dry-run`. */
import { hostAgent, unheard } from '../../operation/agents.ts';
import type { mergeOnHost } from '../../merge/activities.ts';
import { readQuestion } from '../../operation/request/request.ts';
import type { snapshotListOnHost } from '../list/activities.ts';
import type { snapshotDeletionOnHost } from './activities.ts';
import type { DeletionPlan } from './plan.ts';
import { planDeletion } from './planning.ts';
import { deleteSnapshotInput, type DeleteSnapshotInput } from './request.ts';
import { deleteWords } from './words.ts';

type OnHost = typeof snapshotDeletionOnHost & typeof snapshotListOnHost & typeof mergeOnHost;

/** What a deletion would merge and delete, or its refusal; nothing is touched. */
export async function PlanSnapshotDeletion(request: DeleteSnapshotInput): Promise<DeletionPlan> {
  const input = readQuestion(deleteSnapshotInput, request);
  const host = hostAgent<OnHost>(input.host, unheard);
  return planDeletion({ input, words: deleteWords(input), host, ...unheard });
}
