/** The audit log of this machine's orchestrator, by its files: the orchestrator is not asked. */
import { join } from 'node:path';
import { verifyChain, type ChainProof } from '../../activities/orchestrator/verify-chain.ts';

export const verifyEvents = (stateDir: string): Promise<ChainProof> =>
  verifyChain(join(stateDir, 'events'));
