/**
 * Short workflows that only look: a client has no rights on hosts, so it asks their agents through
 * Temporal.
 */
import { hostAgent, unheard } from '../operation/agents.ts';
import { readQuestion } from '../operation/request/request.ts';
import type { chainOnHost } from './activities.ts';
import { diskRef, type DiskRef } from './references.ts';
import type { ChainObservation } from './schemas.ts';

/** getVolumeChain: the chain in its four views, and where they disagree. */
export async function ObserveChain(request: DiskRef): Promise<ChainObservation> {
  const ref = readQuestion(diskRef, request);
  const agent = hostAgent<typeof chainOnHost>(ref.host, unheard);
  return agent.observeChain(ref, `observe ${ref.vm}/${ref.disk}`);
}
