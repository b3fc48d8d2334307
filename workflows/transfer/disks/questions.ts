/** A short workflow that only looks: the plan behind `move VM --dry-run`. */
import { hostAgent, unheard } from '../../operation/agents.ts';
import { readQuestion } from '../../operation/request/request.ts';
import type { transferOnHost } from '../activities.ts';
import type { disksOnHost } from './activities.ts';
import type { DisksPlan } from './plan.ts';
import { planDisks, type Lack } from './planning.ts';
import { moveDisksInput, type MoveDisksInput } from './request.ts';
import { disksWords } from './words.ts';

/** What a move of several disks would do, or its refusal; nothing is touched. */
export async function PlanDisks(request: MoveDisksInput): Promise<DisksPlan | Lack> {
  const input = readQuestion(moveDisksInput, request);
  const host = hostAgent<typeof transferOnHost & typeof disksOnHost>(input.host, unheard);
  return planDisks({ input, words: disksWords(input), host, ...unheard });
}
