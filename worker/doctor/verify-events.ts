/** The audit log of this machine's orchestrator, by its files: the orchestrator is not asked. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { verifyChain, type ChainProof } from '../../activities/orchestrator/verify-chain.ts';

/**
 * A folder without a log is a fault: it may be that of another machine or user, or the log was
 * removed. An orchestrator that starts makes the log, and an empty one has no fault.
 */
export async function verifyEvents(stateDir: string): Promise<ChainProof> {
  const folder = join(stateDir, 'events');
  const proof = await verifyChain(folder);
  if (!existsSync(folder)) {
    proof.faults.push(
      'there is no audit log in this folder; verify it on the machine of the orchestrator, ' +
        'as its user (BLOCKFLOW_STATE_DIR)',
    );
  }
  return proof;
}
