/** The record of a snapshot goes last: as long as libvirt lists it, its deletion can go on. */
import type { InputOf } from '../../../../workflows/operation/activities.ts';
import { hold } from '../../../../workflows/operation/failures.ts';
import type { snapshotDeletionOnHost } from '../../../../workflows/snapshot/delete/activities.ts';
import { syncRecords } from '../../../adapters/virsh/libvirt-folders.ts';
import { readSnapshot } from '../../../adapters/virsh/pools.ts';
import type { HostDeps } from '../../deps.ts';
import { inTurn } from '../../snapshots/in-turn.ts';

type Input = InputOf<typeof snapshotDeletionOnHost, 'ensureSnapshotForgotten'>;

/** @throws Hold `unproven` when a disk still has a layer or a state of that name */
export async function ensureSnapshotForgotten(deps: HostDeps, input: Input): Promise<void> {
  const { vm, vmUuid, name } = input;
  await inTurn(vmUuid, async () => {
    const names = await deps.libvirt.snapshotNames(vmUuid);
    if (!names.includes(name)) return;
    const found = await deps.libvirt.snapshotXml(vmUuid, name);
    const { disks } = await readSnapshot(deps.libvirt, found);
    const left = disks.filter(({ kind }) => kind !== 'no').map((disk) => disk.name);
    if (left.length > 0) throw taken(input, left);
    await deps.effect('libvirt.delete-snapshot-record', `${vm} ${name}`, () =>
      deps.libvirt.deleteSnapshotRecord(vmUuid, name),
    );
  });
  await syncRecords({ name: vm, uuid: vmUuid });
}

const taken = ({ vm, name }: Input, left: readonly string[]) =>
  hold('unproven', {
    attempted: `removing snapshot ${name} of ${vm} from libvirt's list`,
    now: `its disks are merged, but libvirt's record of it names layers of ${left.join(', ')}`,
    next: `See \`blockflow snapshot list ${vm}\`: another snapshot of that name may be new`,
  });
