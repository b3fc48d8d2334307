/** The point of no return of a revert: one change of the record for all disks. */
import { dirname } from 'node:path';
import type { ResultOf } from '../../../../workflows/operation/activities.ts';
import { hold } from '../../../../workflows/operation/failures.ts';
import type { revertOnHost } from '../../../../workflows/snapshot/revert/activities.ts';
import type { DiskSwitch } from '../../../../workflows/snapshot/revert/plan.ts';
import { observeFile } from '../../../adapters/files/files.ts';
import { withActiveLayers } from '../../../adapters/libvirt-xml/overlaid.ts';
import { syncRecords } from '../../../adapters/virsh/libvirt-folders.ts';
import { poolsNamedIn } from '../../../adapters/virsh/pools.ts';
import { identityIn } from '../../../pool-folder/id.ts';
import { wasSaved } from '../../chain/managed-save.ts';
import { lookAtVm } from '../../chain/observe-vm.ts';
import { orRefused } from '../../../door/lasting.ts';
import type { HostDeps } from '../../deps.ts';
import { holding } from '../holding.ts';
import { changedBelow } from './below.ts';
import { notNoted } from './noted-change.ts';
import { areAll, sidesInWords, sidesOf } from './sides.ts';
import { shell } from '../../../../workflows/operation/names.ts';

type Outcome = ResultOf<typeof revertOnHost, 'ensureDisksSwitched'>;

const attempt = ({ vm }: DiskSwitch) => `changing the layers of all disks of ${vm}`;

/** Only the record says whether it is done. QEMU's locks keep the VM from starting meanwhile. */
export function ensureDisksSwitched(deps: HostDeps, change: DiskSwitch): Promise<Outcome> {
  return orRefused(
    () => switchDisks(deps, change),
    async () => !(await isSwitched(deps, change)),
  );
}

async function switchDisks(deps: HostDeps, change: DiskSwitch): Promise<Outcome> {
  if (await isSwitched(deps, change)) return { outcome: 'switched' };
  const paths = change.disks.map(({ from }) => from.volume.path);
  const obstacle = await holding(paths, async () => (await obstacleTo(deps, change)) ?? 'none');
  if (obstacle === null) return changed(`some process has opened a disk of ${change.vm}`);
  if (obstacle !== 'none') return changed(obstacle);
  if (await isSwitched(deps, change)) return { outcome: 'switched' };
  return changed('libvirt took the new record, but shows the old one');
}

const changed = (reason: string): Outcome => ({ outcome: 'changed', reason });

/** Changes the record. @returns why not, in words; null when it was changed */
async function obstacleTo(deps: HostDeps, change: DiskSwitch): Promise<string | null> {
  const vm = { uuid: change.vmUuid, name: change.vm };
  const { state, managedSave } = await lookAtVm(deps, vm, attempt(change));
  if (state !== 'off') return `VM ${vm.name} is ${state} now`;
  if (managedSave) return wasSaved(vm.name);
  const unlike = (await missingLayer(change)) ?? (await changedBelow(change));
  if (unlike !== null) return unlike;
  const unnoted = await notNoted(deps, change);
  if (unnoted !== null) return unnoted;
  const xml = await deps.libvirt.wholeXml(vm.uuid, 'inactive');
  const pools = await poolsNamedIn([xml], deps.libvirt, []);
  const layers = change.disks.map(({ disk, to: { volume, format } }) => ({
    ...{ disk, path: volume.path, format },
  }));
  const wanted = withActiveLayers(xml, layers, pools);
  await deps.effect('libvirt.define-record', `${vm.name} ${vm.uuid}`, () =>
    deps.libvirt.define(wanted),
  );
  return null;
}

async function missingLayer({ disks }: DiskSwitch): Promise<string | null> {
  for (const { to } of disks) {
    const { path } = to.volume;
    const [file, planned] = await Promise.all([
      observeFile(path),
      identityIn(dirname(path), to.volume),
    ]);
    if (file === null || file.identity !== planned) return `${path} is not the file that was made`;
  }
  return null;
}

/** Durable when it is. @throws Hold `divergent-chain` when disks differ */
async function isSwitched(deps: HostDeps, change: DiskSwitch): Promise<boolean> {
  const vm = { uuid: change.vmUuid, name: change.vm };
  const { persistentDomain } = await lookAtVm(deps, vm, attempt(change));
  const sides = await sidesOf(persistentDomain, change.disks);
  if (areAll(sides, 'from')) return false;
  if (!areAll(sides, 'to')) throw divergent(attempt(change), vm.name, sidesInWords(sides));
  await syncRecords(vm);
  return true;
}

export const divergent = (attempted: string, vm: string, now: string) =>
  hold('divergent-chain', {
    attempted,
    now: `another program has changed some of its disks meanwhile: ${now}; no file was deleted`,
    next:
      `Make the record right (${shell`virsh edit ${vm}`}): all disks name the layers before, ` +
      'or all those after; then repeat the request',
  });
