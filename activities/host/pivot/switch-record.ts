/** The persistent XML names another active layer. */
import { operationId } from '../../../workflows/chain/references.ts';
import {
  diskElement,
  diskSource,
  namesOf,
  switchDiskSource,
} from '../../adapters/libvirt-xml/disk-element.ts';
import { poolsNamedIn } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import type { DiskSwitch } from './disk-switch.ts';

/** `to` is null where the active layer stays, and one below it goes. */
export type RecordSwitch = Pick<DiskSwitch, 'vm' | 'vmUuid' | 'disk' | 'nameOf'> & {
  to: { path: string; format: string } | null;
};

/** @param scope `--current` for a VM that is down; `--config` also for one that runs on it */
export async function switchRecord(
  deps: HostDeps,
  change: RecordSwitch,
  scope: '--current' | '--config',
): Promise<void> {
  const { vmUuid, disk, nameOf } = change;
  const xml = await deps.libvirt.inactiveXml(vmUuid);
  const element = diskElement(xml, disk);
  const pools = await poolsNamedIn([xml], deps.libvirt, []);
  const { path, format } = change.to ?? diskSource(element, pools);
  const names = await namesOf(element, pools, nameOf);
  const wanted = switchDiskSource(element, { to: { path, format }, names, pools });
  if (wanted === null) return;
  await deps.effect('libvirt.switch-disk-source', operationId(change), () =>
    deps.libvirt.updateDiskConfig(vmUuid, wanted, scope),
  );
}
