/** A snapshot of a VM that an earlier run began, as its note in the pool says. */
import { join } from 'node:path';
import { refused } from '../../../workflows/operation/failures.ts';
import {
  overlayReservation,
  type Overlay,
  type PlannedDisk,
  type Unfinished,
} from '../../../workflows/snapshot/create/plan.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { nameVolume } from '../../pool-folder/id.ts';
import { isReserved } from '../../pool-folder/presence.ts';
import { readManifests, stagedFile } from '../../pool-folder/reservation.ts';
import { layerFolders, type VmLook } from '../chain/observe-vm.ts';
import { shell } from '../../../workflows/operation/names.ts';

type Layered = Pick<VmLook, 'uuid' | 'live' | 'persistentDomain'>;

/** The first of them; looked for in the folders of the layers that the VM's two XMLs name. */
export async function unfinishedSnapshot(vm: Layered): Promise<Unfinished | null> {
  for (const folder of await layerFolders(vm)) {
    for (const { content } of await readManifests(folder)) {
      const parsed = overlayReservation.safeParse(content);
      if (!parsed.success || parsed.data.snapshot.vmUuid !== vm.uuid) continue;
      const { jobId, snapshot: plan } = parsed.data;
      return { jobId, plan, overlays: await overlaysOf(jobId, plan) };
    }
  }
  return null;
}

/**
 * @param disk the one that matters; without it any
 * @throws Refused `other-operation`
 */
export async function assertNoUnfinishedSnapshot(
  attempted: string,
  vm: Layered & Pick<VmLook, 'name'>,
  disk?: string,
): Promise<void> {
  const earlier = await unfinishedSnapshot(vm);
  if (!earlier) return;
  const isPart = disk === undefined || earlier.plan.disks.some((one) => one.disk === disk);
  if (!isPart) return;
  const { snapshot } = earlier.plan;
  throw refused('other-operation', {
    attempted,
    now: `${shell`snapshot create ${vm.name} ${snapshot}`} is unfinished; nothing was done`,
    next: `Finish it first: repeat ${shell`blockflow snapshot create ${vm.name} ${snapshot}`}`,
  });
}

/**
 * Those that were made: a run may have been ended before all were. A pool that has forgotten the
 * job has its overlays by their names alone: another pool's note may be left of a whole snapshot.
 */
export async function overlaysOf(
  jobId: string,
  { disks }: { disks: readonly PlannedDisk[] },
): Promise<Overlay[]> {
  const overlays = disks.map(async ({ disk, to, name }) => {
    const path = join(to.folder, name);
    const staged = await observeFile(stagedFile(to.folder, jobId, name, 'ready'));
    const file = staged ?? ((await isReserved(to, jobId)) ? null : await observeFile(path));
    if (!file) return [];
    return [{ disk, volume: await nameVolume({ path, pool: to.pool, identity: file.identity }) }];
  });
  return (await Promise.all(overlays)).flat();
}
