/** The limit of the copies of a job. */
import type { InputOf } from '../../../workflows/operation/activities.ts';
import type { transferOnHost } from '../../../workflows/transfer/activities.ts';
import { runningCopies } from '../../adapters/copying-daemon/daemon.ts';
import { writeCopyLimit } from '../../adapters/copying-daemon/limit.ts';
import { setCopySpeed } from '../../adapters/copying-daemon/mirror.ts';
import type { HostDeps } from '../deps.ts';
import { stateOf, runId } from './copying-state.ts';

/** Also of a copy that is just being started, or will be once more. */
export async function ensureCopyBandwidth(
  deps: HostDeps,
  { jobId, bandwidthBytesPerSecond }: InputOf<typeof transferOnHost, 'ensureCopyBandwidth'>,
): Promise<void> {
  const state = stateOf(deps, jobId);
  await deps.effect('image.set-copy-bandwidth', jobId, async () => {
    await writeCopyLimit(state, { runId: runId(), bytesPerSecond: bandwidthBytesPerSecond });
    for (const id of await runningCopies(state)) {
      await setCopySpeed(state, id, bandwidthBytesPerSecond);
    }
  });
}
