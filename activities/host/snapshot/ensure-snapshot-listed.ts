/** libvirt's metadata of a snapshot that is taken: it lists it, and the VM runs on it. */
import { retry } from '../../../workflows/operation/failures.ts';
import type { SnapshotPlan } from '../../../workflows/snapshot/create/plan.ts';
import type { Taking } from '../../../workflows/snapshot/create/activities.ts';
import { buildSnapshotRecord, withoutOverlays } from '../../adapters/libvirt-xml/overlaid.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { syncRecords } from '../../adapters/virsh/libvirt-folders.ts';
import { poolsNamedIn } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import { factsOf, layeredDisks } from './layered.ts';
import { shell } from '../../../workflows/operation/names.ts';

export async function ensureSnapshotListed(deps: HostDeps, { plan }: Taking): Promise<void> {
  const { libvirt } = deps;
  const { vmUuid: uuid, vm: name, snapshot, persistent } = plan;
  if ((await libvirt.snapshotXml(uuid, snapshot)) === null) {
    const xml = await libvirt.wholeXml(uuid, persistent ? 'inactive' : 'live');
    const pools = await poolsNamedIn([xml], libvirt, []);
    const before = withoutOverlays(xml, layeredDisks(plan), pools);
    const parent = await libvirt.currentSnapshot(uuid);
    const facts = { ...factsOf(plan), createdAt: await takenAtSeconds(plan) };
    const record = buildSnapshotRecord(facts, parent, before);
    await deps.effect('libvirt.list-snapshot', `${name} ${snapshot}`, () =>
      libvirt.listSnapshot(uuid, record),
    );
  }
  await syncRecords({ name, uuid });
  if ((await libvirt.snapshotXml(uuid, snapshot)) !== null) return;
  throw retry('command-failed', {
    attempted: `listing snapshot ${snapshot} of ${name}`,
    now: 'the snapshot is taken, but libvirt does not list it',
    next: `blockflow tries again; see ${shell`virsh snapshot-list ${name}`}`,
  });
}

/**
 * When it was taken: the guest may have written to a base long after the plan, while a pool was
 * away, and to none of them since the switch.
 */
async function takenAtSeconds({ createdAt, disks }: SnapshotPlan): Promise<number> {
  const files = await Promise.all(disks.map(({ base }) => observeFile(base.path)));
  const written = files.map((file) => Number(BigInt(file?.modifiedNs ?? 0) / 1_000_000_000n));
  return Math.max(createdAt, ...written);
}
