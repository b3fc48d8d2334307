/** The end of the hold on an image. */
import { basename } from 'node:path';
import { stopCopier } from '../../adapters/copying-daemon/daemon.ts';
import type { HostDeps } from '../deps.ts';
import { stateOf } from './copying-state.ts';

/** Lets go: ends the daemon, and with it the hold and any copy that runs. */
export async function ensureImageReleased(
  deps: HostDeps,
  { jobId }: { jobId: string },
): Promise<void> {
  const state = stateOf(deps, jobId);
  await deps.effect('image.release', jobId, () => stopCopier(state));
  deps.turns.giveBack(basename(state));
}
