/** The snapshot that libvirt's tree grows from: the parent of the next one. */
import type { InputOf } from '../../../../workflows/operation/activities.ts';
import type { revertOnHost } from '../../../../workflows/snapshot/revert/activities.ts';
import { syncRecords } from '../../../adapters/virsh/libvirt-folders.ts';
import type { HostDeps } from '../../deps.ts';
import { inTurn } from '../../snapshots/in-turn.ts';

type Input = InputOf<typeof revertOnHost, 'ensureSnapshotCurrent'>;

/** One that was deleted meanwhile cannot be it. */
export async function ensureSnapshotCurrent(deps: HostDeps, input: Input): Promise<void> {
  const { vm, vmUuid, name } = input;
  await inTurn(vmUuid, async () => {
    if ((await deps.libvirt.currentSnapshot(vmUuid)) === name) return;
    const xml = await deps.libvirt.snapshotXml(vmUuid, name);
    if (xml === null) return;
    await deps.effect('libvirt.set-current-snapshot', `${vm} ${name}`, () =>
      deps.libvirt.listSnapshot(vmUuid, xml),
    );
  });
  await syncRecords({ name: vm, uuid: vmUuid });
}
