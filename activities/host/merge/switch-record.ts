/** The persistent XML names base where it named top. */
import { operationId } from '../../../workflows/chain/references.ts';
import type { MergePlan } from '../../../workflows/merge/plan.ts';
import {
  diskElement,
  diskSource,
  namesOf,
  switchDiskSource,
} from '../../adapters/libvirt-xml/disk-element.ts';
import { poolsNamedIn } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';

/** @param scope `--current` for a VM that is down; `--config` also for one that runs on base */
export async function switchRecord(
  deps: HostDeps,
  plan: MergePlan,
  scope: '--current' | '--config',
): Promise<void> {
  const xml = await deps.libvirt.inactiveXml(plan.vmUuid);
  const element = diskElement(xml, plan.disk);
  const pools = await poolsNamedIn([xml], deps.libvirt, []);
  const { path, format } = plan.overlay ? diskSource(element, pools) : plan.base;
  const gone = new Set(plan.committed.map((volume) => volume.path));
  const names = await namesOf(element, pools, (file) =>
    gone.has(file) ? null : file === plan.base.path ? file : undefined,
  );
  const wanted = switchDiskSource(element, { to: { path, format }, names, pools });
  if (wanted === null) return;
  await deps.effect('libvirt.switch-disk-source', operationId(plan), () =>
    deps.libvirt.updateDiskConfig(plan.vmUuid, wanted, scope),
  );
}
