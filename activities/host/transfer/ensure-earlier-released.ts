/** The end of what earlier runs have left running on this host. */
import { imageId, type ImageRef } from '../../../workflows/chain/references.ts';
import { copierRuns } from '../../adapters/copying-daemon/daemon.ts';
import { observePools, type Pool } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import { stateOf } from './copying-state.ts';
import { runsIn } from './planning/earlier-runs.ts';
import { ensureImageReleased } from './ensure-image-released.ts';
import { ensureMirrorEnded } from './live/ensure-mirror-ended.ts';

/**
 * Ends the copies that earlier runs have left running, and with them their holds: a request that
 * ends before it goes on with one shall not leave the VM unable to start. Their mirrors end, too.
 */
export async function ensureEarlierReleased(
  deps: HostDeps,
  { image, keep }: { image: ImageRef; keep: string | null },
): Promise<void> {
  // Without libvirt nothing is found: a cancelled operation does not wait for it.
  const pools = await observePools(deps.libvirt).catch((): Pool[] => []);
  for (const { jobId, plan } of await runsIn(deps, pools, imageId(image))) {
    if (jobId === keep) continue;
    if (plan.live) await ensureMirrorEnded(deps, { plan, jobId });
    if (await copierRuns(stateOf(deps, jobId))) await ensureImageReleased(deps, { jobId });
  }
}
