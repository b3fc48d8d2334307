/** Proves a copy before the source may go. */
import { formatOf } from '../../../workflows/transfer/copied.ts';
import type { ResultOf } from '../../../workflows/operation/activities.ts';
import type { transferOnHost, VolumeJob } from '../../../workflows/transfer/activities.ts';
import { Context } from '@temporalio/activity';
import type { ImageVolume } from '../../../workflows/transfer/plan.ts';
import { isToolFailure } from '../../adapters/process/command.ts';
import { observeFile, renameOnce } from '../../adapters/files/files.ts';
import { sameBytes, sameContent, type CompareOptions } from '../../adapters/qemu-img/compare.ts';
import { stagedFile } from '../../pool-folder/reservation.ts';
import { showProgress, type Show } from '../../door/attempt.ts';
import { assertReserved } from '../../pool-folder/presence.ts';
import { bytesBefore, dataBytes, imageBytes, layersBelow } from './copying-state.ts';
import type { HostDeps } from '../deps.ts';

/**
 * Compares before any header is changed: the containers, or what a guest reads in a converted one.
 * A copy that passed has its next name, so it passes once.
 */
export async function ensureVolumeVerified(
  deps: HostDeps,
  job: VolumeJob,
  show: Show,
): Promise<ResultOf<typeof transferOnHost, 'ensureVolumeVerified'>> {
  const { plan, jobId, at } = job;
  const volume = plan.volumes[at] as ImageVolume;
  const what = `comparing ${volume.path} with its copy`;
  await assertReserved(job, what);
  const staged = (stage: 'copied' | 'ready') =>
    stagedFile(plan.to.folder, jobId, volume.name, stage);
  if (await observeFile(staged('ready'))) return { same: true, reason: 'verified before' };
  const copy = { path: staged('copied'), format: formatOf(volume) };
  let reason: string | null = null;
  try {
    const options = compareOptions(job, show);
    const same = volume.convert
      ? await sameContent([...layersBelow(job), volume], copy, options)
      : await sameBytes(volume.path, copy.path, options);
    if (!same) reason = `the copy of ${volume.path} differs from it`;
  } catch (error) {
    // What cannot be read once cannot be trusted.
    if (!isToolFailure(error)) throw error;
    reason = `${what}: ${error.stderr}`;
  }
  if (reason !== null) {
    // A pool that became unavailable is an error, too: it is waited for.
    await assertReserved(job, what);
    return { same: false, reason };
  }
  await deps.effect('image.pass-verification', staged('copied'), () =>
    renameOnce(staged('copied'), staged('ready')),
  );
  return { same: true, reason: 'compared' };
}

/** A cancel ends the comparison; shown is how much of all volumes is compared. */
function compareOptions(job: VolumeJob, show: Show): CompareOptions {
  const before = bytesBefore(job);
  const size = dataBytes(job.plan.volumes[job.at] as ImageVolume);
  const tell = showProgress(show, { phase: 'verifying', totalBytes: imageBytes(job) });
  tell(before);
  return {
    signal: Context.current().cancellationSignal,
    onPercent: (percent) => tell(before + Math.round((size * percent) / 100)),
  };
}
