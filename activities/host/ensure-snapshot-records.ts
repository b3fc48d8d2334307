/** libvirt's snapshot metadata follows the merge: gone restore points leave the list, other mentions become the base. */
import { operationId, type HostActivities } from '../../workflows/contract.ts';
import type { SnapshotChange } from '../../workflows/schemas.ts';
import { parseSnapshot, rewriteSnapshot } from '../adapters/snapshot-xml.ts';
import { withXmlFile } from '../adapters/xml-file.ts';
import type { HostDeps } from './deps.ts';

type Input = Parameters<HostActivities['ensureSnapshotRecords']>[0];

export async function ensureSnapshotRecords(deps: HostDeps, input: Input): Promise<void> {
  for (const change of input.changes) {
    const names = await deps.libvirt.snapshotNames(input.plan.vmUuid);
    if (!names.includes(change.name)) continue;
    if (change.action === 'delete') await deleteRecord(deps, input, change);
    else await redefine(deps, input, change);
  }
}

async function deleteRecord(deps: HostDeps, { plan }: Input, change: SnapshotChange) {
  await deps.effect('libvirt.delete-snapshot-record', `${operationId(plan)} ${change.name}`, () =>
    deps.libvirt.deleteSnapshotRecord(plan.vmUuid, change.name),
  );
}

async function redefine(deps: HostDeps, { plan }: Input, change: SnapshotChange) {
  const committed = new Set(plan.committed.map((volume) => volume.path));
  const snapshot = parseSnapshot(await deps.libvirt.snapshotXml(plan.vmUuid, change.name));
  const xml = rewriteSnapshot(snapshot, committed, plan.base.path);
  await withXmlFile(xml, (file) =>
    deps.effect('libvirt.redefine-snapshot', `${operationId(plan)} ${change.name}`, () =>
      deps.libvirt.redefineSnapshot(plan.vmUuid, file),
    ),
  );
}
