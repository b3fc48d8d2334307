/** The copies of an image by their final names, and which of the two the record has. */
import { dirname, join, resolve } from 'node:path';
import { bug } from '../../../workflows/operation/failures.ts';
import type { ImageJob } from '../../../workflows/transfer/activities.ts';
import { copiesOf } from '../../../workflows/transfer/copied.ts';
import type { ImagePlan, ImageVolume } from '../../../workflows/transfer/plan.ts';
import { canonical } from '../../adapters/files/files.ts';
import { readDomain } from '../../adapters/virsh/pools.ts';
import { identityIn } from '../../pool-folder/id.ts';
import { madeForJob } from '../../pool-folder/made-for-job.ts';
import { snapshotsNaming } from '../snapshots/snapshots.ts';
import { observeState } from '../chain/lost-vm.ts';
import type { HostDeps } from '../deps.ts';

export type Vm = NonNullable<ImagePlan['vm']>;

/** What the record names instead of a layer: null for one that has no copy. */
export function nameIn(plan: ImagePlan): (path: string) => string | null | undefined {
  const copies = copiesOf(plan);
  const names = new Map(
    plan.volumes.map((volume) => [
      volume.path,
      copies.includes(volume) ? copyPath(plan, volume) : null,
    ]),
  );
  return (path) => names.get(path);
}

export const copyPath = ({ to }: ImagePlan, { name }: { name: string }) => join(to.folder, name);

/** The sources' paths by their identities on this host. */
export async function localIdentities({ volumes }: ImagePlan): Promise<Map<string, string>> {
  const found = volumes.map(async (volume) => {
    const identity = await identityIn(dirname(volume.path), volume);
    return identity === null ? [] : [[identity, volume.path] as const];
  });
  return new Map((await Promise.all(found)).flat());
}

/**
 * A header names what a guest reads: that of a copy the copy below it, in its format, and no other.
 * @throws Bug
 */
export function assertOnCopyBelow(plan: ImagePlan, at: number, backing: Backing): void {
  const { volumes, flatten, to } = plan;
  const below = flatten ? undefined : volumes[at - 1];
  const isCopy = below && resolve(to.folder, backing.name) === copyPath(plan, below);
  if (isCopy && backing.format === below.format) return;
  throw bug(
    `the copy of ${volumes[at]?.path} was to stand on ${backing.name}, no copy of its base`,
  );
}
type Backing = NonNullable<ImageVolume['rebase']>;

/** Another process may have deleted files: what the record will name is looked at once more. */
export async function goneCopy({ plan, jobId }: ImageJob): Promise<string | null> {
  for (const volume of copiesOf(plan)) {
    const made = await madeForJob({ to: plan.to, jobId, name: volume.name });
    if (made === null) return copyPath(plan, volume);
  }
  return null;
}

/** Why a flat copy is not switched to: a snapshot would lose its layers; null when none would. */
export async function takenSnapshots(
  deps: HostDeps,
  plan: ImagePlan,
  vm: Vm,
): Promise<string | null> {
  if (!plan.flatten) return null;
  const sources = new Set((await localIdentities(plan)).keys());
  const names = await snapshotsNaming(deps, vm.uuid, sources);
  return names.length === 0 ? null : `snapshot ${names.join(', ')} was taken meanwhile`;
}

/** What the persistent XML names as the active layer. */
export async function whereRecordIs(
  deps: HostDeps,
  plan: ImagePlan,
  vm: Vm,
): Promise<'source' | 'target' | 'elsewhere' | 'gone'> {
  const { persistent } = await observeState(deps, vm.uuid);
  if (!persistent) {
    const vms = await deps.libvirt.listVms();
    return vms.some(({ uuid }) => uuid === vm.uuid) ? 'elsewhere' : 'gone';
  }
  const domain = await readDomain(deps.libvirt, await deps.libvirt.inactiveXml(vm.uuid));
  const disk = domain.disks.find(({ target }) => target === vm.disk);
  const active = disk?.chain.at(-1)?.path;
  const top = plan.volumes.at(-1);
  if (active === undefined || !top) return 'elsewhere';
  const path = await canonical(active);
  if (path === copyPath(plan, top)) return 'target';
  return path === top.path ? 'source' : 'elsewhere';
}
