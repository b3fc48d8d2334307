/** A short workflow that only looks at pools. */
import * as z from 'zod/mini';
import { hostAgent, unheard } from '../operation/agents.ts';
import { hostName } from '../operation/names.ts';
import { readQuestion } from '../operation/request/request.ts';
import type { PoolLease, poolsOnHost } from './activities.ts';

export const hostQuestion = z.strictObject({ host: hostName });

/** The pools of a host and their SPMs. */
export async function ObserveLeases(request: { host: string }): Promise<PoolLease[]> {
  const { host } = readQuestion(hostQuestion, request);
  const agent = hostAgent<typeof poolsOnHost>(host, unheard);
  return agent.observeLeases({}, `look who is the SPM of each pool of ${host}`);
}
