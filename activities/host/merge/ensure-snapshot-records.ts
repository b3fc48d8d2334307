/**
 * libvirt's snapshot metadata follows the merge: gone restore points leave the list, other mentions
 * become the base. What is there now decides, not what was there when the merge was planned: the
 * snapshot's other disks may have been merged meanwhile.
 */
import type { InputOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost } from '../../../workflows/merge/activities.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import { syncRecords } from '../../adapters/virsh/libvirt-folders.ts';
import { rewriteSnapshot } from '../../adapters/libvirt-xml/snapshot-xml.ts';
import { readSnapshot } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import { changeOf } from '../snapshots/after-merge.ts';
import { inTurn } from '../snapshots/in-turn.ts';
import { spellingsOf } from '../snapshots/snapshots.ts';
import { keepTimes } from './keep-times.ts';

type Input = InputOf<typeof mergeOnHost, 'ensureSnapshotRecords'>;

export async function ensureSnapshotRecords(deps: HostDeps, input: Input): Promise<void> {
  const { vm: name, vmUuid: uuid, base, overlay } = input.plan;
  // A guest writes to base where it is the active layer, which no snapshot stands for.
  if (overlay) await deps.effect('image.keep-times', base.path, () => keepTimes(input.plan));
  await inTurn(uuid, async () => {
    for (const change of input.changes) await follow(deps, input, change.name);
  });
  await syncRecords({ name, uuid });
}

async function follow(deps: HostDeps, { plan }: Input, name: string): Promise<void> {
  const { vmUuid, disk, committed, base } = plan;
  const found = await deps.libvirt.snapshotXml(vmUuid, name);
  if (found === null) return;
  const snapshot = await readSnapshot(deps.libvirt, found);
  const gone = await spellingsOf(
    [snapshot],
    committed.map((volume) => volume.path),
  );
  const action = changeOf(snapshot, { disk, gone });
  const target = `${operationId(plan)} ${name}`;
  if (action === 'delete') {
    await deps.effect('libvirt.delete-snapshot-record', target, () =>
      deps.libvirt.deleteSnapshotRecord(vmUuid, name),
    );
  }
  if (action === 'redefine') {
    const xml = rewriteSnapshot(snapshot, gone, base);
    await deps.effect('libvirt.redefine-snapshot', target, () =>
      deps.libvirt.redefineSnapshot(vmUuid, xml),
    );
  }
}
