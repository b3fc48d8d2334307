/** The limit of a mirror that runs. */
import type { InputOf } from '../../../../workflows/operation/activities.ts';
import type { transferOnHost } from '../../../../workflows/transfer/activities.ts';
import { operationId } from '../../../../workflows/chain/references.ts';
import type { HostDeps } from '../../deps.ts';
import { lookAtDisk } from '../../pivot/look-at-disk.ts';
import { isOurMirror } from '../../pivot/our-mirror.ts';
import { switchOf } from './look.ts';

/** @returns false when it does not run (any more) */
export async function ensureMirrorBandwidth(
  deps: HostDeps,
  input: InputOf<typeof transferOnHost, 'ensureMirrorBandwidth'>,
): Promise<boolean> {
  const { bandwidthBytesPerSecond } = input;
  const change = await switchOf(input);
  const { state, disk } = await lookAtDisk(deps, change);
  if (state === 'off' || !(await isOurMirror(change, disk))) return false;
  const job = await deps.libvirt.blockJob(change.vmUuid, change.disk);
  if (!job) return false;
  if (job.bandwidthBytesPerSecond !== bandwidthBytesPerSecond) {
    await deps.effect('libvirt.set-job-bandwidth', operationId(change), () =>
      deps.libvirt.setJobBandwidth(change.vmUuid, change.disk, bandwidthBytesPerSecond),
    );
  }
  return true;
}
