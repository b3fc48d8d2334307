/**
 * libvirt's snapshot metadata follows the merge: gone restore points leave the list, other mentions
 * become the base.
 */
import type { InputOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost } from '../../../workflows/merge/activities.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import type { SnapshotChange } from '../../../workflows/chain/schemas.ts';
import { syncRecords } from '../../adapters/virsh/libvirt-folders.ts';
import { rewriteSnapshot } from '../../adapters/libvirt-xml/snapshot-xml.ts';
import { readSnapshot } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import { spellingsOf } from '../snapshots/snapshots.ts';

type Input = InputOf<typeof mergeOnHost, 'ensureSnapshotRecords'>;

export async function ensureSnapshotRecords(deps: HostDeps, input: Input): Promise<void> {
  for (const change of input.changes) {
    const names = await deps.libvirt.snapshotNames(input.plan.vmUuid);
    if (!names.includes(change.name)) continue;
    if (change.action === 'delete') await deleteRecord(deps, input, change);
    else await redefine(deps, input, change);
  }
  await syncRecords({ name: input.plan.vm, uuid: input.plan.vmUuid });
}

async function deleteRecord(deps: HostDeps, { plan }: Input, change: SnapshotChange) {
  await deps.effect('libvirt.delete-snapshot-record', `${operationId(plan)} ${change.name}`, () =>
    deps.libvirt.deleteSnapshotRecord(plan.vmUuid, change.name),
  );
}

async function redefine(deps: HostDeps, { plan }: Input, change: SnapshotChange) {
  const found = await deps.libvirt.snapshotXml(plan.vmUuid, change.name);
  const snapshot = await readSnapshot(deps.libvirt, found);
  const gone = await spellingsOf(
    [snapshot],
    plan.committed.map((volume) => volume.path),
  );
  const xml = rewriteSnapshot(snapshot, gone, plan.base);
  await deps.effect('libvirt.redefine-snapshot', `${operationId(plan)} ${change.name}`, () =>
    deps.libvirt.redefineSnapshot(plan.vmUuid, xml),
  );
}
