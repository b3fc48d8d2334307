/** The end of the hold on an image. */
import { stopCopier } from '../../adapters/copying-daemon/daemon.ts';
import type { HostDeps } from '../deps.ts';
import { stateOf } from './copying-state.ts';

/** Lets go: ends the daemon, and with it the hold and any copy that runs. */
export async function ensureImageReleased(
  deps: HostDeps,
  { jobId }: { jobId: string },
): Promise<void> {
  await deps.effect('image.release', jobId, () => stopCopier(stateOf(deps, jobId)));
}
