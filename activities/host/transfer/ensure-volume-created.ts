/** The empty image at a reserved name that a volume is converted into. */
import type { ImageVolume } from '../../../workflows/transfer/plan.ts';
import type { ResultOf } from '../../../workflows/operation/activities.ts';
import type { transferOnHost, VolumeJob } from '../../../workflows/transfer/activities.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { observeCopy } from '../../adapters/copying-daemon/daemon.ts';
import { stagedFile } from '../../pool-folder/reservation.ts';
import type { Show } from '../../door/attempt.ts';
import { assertReserved } from '../../pool-folder/presence.ts';
import type { HostDeps } from '../deps.ts';
import { ensureImageHeld } from './ensure-image-held.ts';
import { copyId, stateOf } from './copying-state.ts';
import { createTarget } from './create-target.ts';

/**
 * Takes the space, in the daemon, which goes on when the agent dies. A volume that is copied
 * already, or is being copied, has had its target.
 */
export async function ensureVolumeCreated(
  deps: HostDeps,
  job: VolumeJob,
  show: Show,
): Promise<ResultOf<typeof transferOnHost, 'ensureVolumeCreated'>> {
  const held = await ensureImageHeld(deps, job);
  if (held.outcome !== 'held') return held;
  const { plan, jobId, at } = job;
  const { name, path } = plan.volumes[at] as ImageVolume;
  await assertReserved(job, `creating the target for ${path}`);
  for (const stage of ['copied', 'ready'] as const) {
    if (await observeFile(stagedFile(plan.to.folder, jobId, name, stage))) {
      return { outcome: 'created' };
    }
  }
  if (await observeCopy(stateOf(deps, jobId), copyId(job))) return { outcome: 'created' };
  const error = await createTarget(deps, job, show);
  return error === null ? { outcome: 'created' } : { outcome: 'failed', reason: error };
}
