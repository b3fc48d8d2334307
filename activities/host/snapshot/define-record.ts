/** The record of a VM with the overlays of a snapshot as active layers: all disks by one change. */
import type { SnapshotPlan } from '../../../workflows/snapshot/create/plan.ts';
import { withOverlays } from '../../adapters/libvirt-xml/overlaid.ts';
import { syncRecords } from '../../adapters/virsh/libvirt-folders.ts';
import { poolsNamedIn } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import { layeredDisks } from './layered.ts';

export async function recordWithOverlays({ libvirt }: HostDeps, plan: SnapshotPlan) {
  const xml = await libvirt.wholeXml(plan.vmUuid, 'inactive');
  const pools = await poolsNamedIn([xml], libvirt, []);
  return withOverlays(xml, layeredDisks(plan), pools);
}

/** Durable when it returns. */
export async function defineRecord(deps: HostDeps, plan: SnapshotPlan): Promise<void> {
  const wanted = await recordWithOverlays(deps, plan);
  await deps.effect('libvirt.define-record', `${plan.vm} ${plan.snapshot}`, () =>
    deps.libvirt.define(wanted),
  );
  await syncRecords({ name: plan.vm, uuid: plan.vmUuid });
}
