/** The end of a mirror that is not wanted any more, before the point of no return. */
import type { ResultOf } from '../../../../workflows/operation/activities.ts';
import type { ImageJob, transferOnHost } from '../../../../workflows/transfer/activities.ts';
import { retry } from '../../../../workflows/operation/failures.ts';
import { operationId } from '../../../../workflows/chain/references.ts';
import { awaitPivotScript, removePivotReport } from '../../../adapters/virsh/safe-pivot.ts';
import type { HostDeps } from '../../deps.ts';
import { abortQuietly } from '../../pivot/abort-quietly.ts';
import { lookAndGiveBack } from '../../pivot/give-back-guest.ts';
import { assertLeftByQemu } from '../../pivot/limbo.ts';
import type { DiskSwitch } from '../../pivot/disk-switch.ts';
import { hasSwitched, isEnding, lookAtDisk, pivotFile } from '../../pivot/look-at-disk.ts';
import { isOurMirror } from '../../pivot/our-mirror.ts';
import { switchOf } from './look.ts';

/**
 * Ends our mirror without a pivot and proves that the chain is what it was. Never touches a job
 * that is not ours.
 */
export async function ensureMirrorEnded(
  deps: HostDeps,
  job: ImageJob,
): Promise<ResultOf<typeof transferOnHost, 'ensureMirrorEnded'>> {
  const change = await switchOf(job);
  const outcome = await endMirror(deps, change);
  if (outcome === 'ended') await removePivotReport(pivotFile(deps, change));
  return { outcome };
}

/** The same, but for the report of a pivot, which stays. */
export async function endMirror(deps: HostDeps, change: DiskSwitch): Promise<'ended' | 'switched'> {
  await awaitPivotScript(pivotFile(deps, change));
  const look = await lookAtDisk(deps, change);
  const isOurs = look.state !== 'off' && (await isOurMirror(change, look.disk));
  if (isOurs && !isEnding(look.disk)) {
    await deps.effect('libvirt.abort-job', operationId(change), () => abortQuietly(deps, change));
  }
  const after = await lookAndGiveBack(deps, change);
  if (hasSwitched(after, change)) {
    await assertLeftByQemu(change);
    return 'switched';
  }
  const stays = after.state !== 'off' && (await isOurMirror(change, after.disk));
  if (stays || isEnding(after.disk)) {
    throw retry('command-failed', {
      attempted: change.attempted,
      now: 'QEMU still has the mirror that was to end; nothing else was touched',
      next: 'Nothing: blockflow tries again',
    });
  }
  return 'ended';
}
