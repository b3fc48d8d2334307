/** libvirt has not lost what it knew of the disk: in its words and in QEMU it is the same. */
import { readPivotReport } from '../../adapters/virsh/safe-pivot.ts';
import { readDomain } from '../../adapters/virsh/pools.ts';
import { untilSettled } from '../../door/polling.ts';
import type { HostDeps } from '../deps.ts';
import { holdLost } from '../chain/lost-vm.ts';
import type { Chain } from '../chain/observe-chain.ts';
import { guestAfter } from './limbo.ts';
import { holdLimbo, holdSuspended } from './holds.ts';
import { isEnding, isLeftSuspended, pivotFile } from './look-at-disk.ts';

/** Looks before a job that ends counts as one in limbo. */
const PATIENCE = 3;

/**
 * A limbo in which our pivot has left a suspended guest is no obstacle: the first step of the merge
 * ends it, and then the merge is planned again.
 * @returns true in such a limbo, in which QEMU does not have open what libvirt shows
 * @throws Hold `lost-vm`, `limbo`
 */
export async function assertInTouch(
  deps: HostDeps,
  attempted: string,
  { vm, disk, lost, xmlDisk }: Chain,
): Promise<boolean> {
  const ref = { vmUuid: vm.uuid, disk };
  if (lost) throw holdLost(attempted, vm, lost, await isLeftSuspended(deps, ref));
  if (!isEnding(xmlDisk)) return false;
  const { libvirt } = deps;
  const { doubts } = await untilSettled(PATIENCE, async () => {
    const xml = await libvirt.currentXml(vm.uuid);
    const now = (xml === null ? [] : (await readDomain(libvirt, xml)).disks).find(
      ({ target }) => target === disk,
    );
    return { doubts: isEnding(now ?? null) ? [`a job on ${disk} ends`] : [] };
  });
  if (doubts.length === 0) return false;
  const report = await readPivotReport(pivotFile(deps, ref));
  if (guestAfter(vm, report) !== null) return true;
  throw holdLimbo(attempted, { vm: vm.name, disk }, xmlDisk);
}

/**
 * The same for a move, which nothing but a person brings out of a limbo: libvirt saves no guest
 * with such a mirror.
 * @throws Hold `lost-vm`, `limbo`
 */
export async function assertMirrorInTouch(
  deps: HostDeps,
  attempted: string,
  chain: Chain,
): Promise<void> {
  const { vm, disk, xmlDisk } = chain;
  const { mirror } = xmlDisk;
  if (mirror?.job !== 'copy' || !(await assertInTouch(deps, attempted, chain))) return;
  const from = xmlDisk.chain.at(-1)?.path ?? '';
  throw holdSuspended({ attempted, vm: vm.name, disk, from, to: mirror.path });
}
