/** libvirt's metadata of a snapshot that all images have inside: it lists it, the VM is on it. */
import { retry } from '../../../../workflows/operation/failures.ts';
import type { InsidePlan } from '../../../../workflows/snapshot/inside/plan.ts';
import { buildSnapshotRecord } from '../../../adapters/libvirt-xml/overlaid.ts';
import { readXml } from '../../../adapters/libvirt-xml/xml.ts';
import { syncRecords } from '../../../adapters/virsh/libvirt-folders.ts';
import type { HostDeps } from '../../deps.ts';
import { inTurn } from '../../snapshots/in-turn.ts';
import { shell } from '../../../../workflows/operation/names.ts';

export async function ensureInsideListed(deps: HostDeps, plan: InsidePlan): Promise<void> {
  const { libvirt } = deps;
  const { vmUuid: uuid, vm: name, snapshot, description, since } = plan;
  const isListed = async () => (await libvirt.snapshotXml(uuid, snapshot)) !== null;
  await inTurn(uuid, async () => {
    if (await isListed()) return;
    const facts = {
      ...{ name: snapshot, description, createdAt: since, wasRunning: false, disks: [] },
      inside: plan.disks.map(({ disk }) => disk),
    };
    const domain = readXml(await libvirt.wholeXml(uuid, 'inactive'), 'domain');
    const record = buildSnapshotRecord(facts, await libvirt.currentSnapshot(uuid), domain);
    await deps.effect('libvirt.list-snapshot', `${name} ${snapshot}`, () =>
      libvirt.listSnapshot(uuid, record),
    );
  });
  await syncRecords({ name, uuid });
  if (await isListed()) return;
  throw retry('command-failed', {
    attempted: `listing snapshot ${snapshot} of ${name}`,
    now: 'all images have it inside, but libvirt does not list it',
    next: `blockflow tries again; see ${shell`virsh snapshot-list ${name}`}`,
  });
}
