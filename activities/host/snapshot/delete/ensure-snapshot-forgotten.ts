/** The record of a snapshot goes last: as long as libvirt lists it, its deletion can go on. */
import type { InputOf } from '../../../../workflows/operation/activities.ts';
import { hold } from '../../../../workflows/operation/failures.ts';
import type { snapshotDeletionOnHost } from '../../../../workflows/snapshot/delete/activities.ts';
import { syncRecords } from '../../../adapters/virsh/libvirt-folders.ts';
import { readSnapshot } from '../../../adapters/virsh/pools.ts';
import type { Snapshot } from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import type { HostDeps } from '../../deps.ts';
import { inTurn } from '../../snapshots/in-turn.ts';
import { observeDomain } from '../../chain/observe-chain.ts';
import { disksInside, innerOf, lookInside, targetsOf } from '../inside/look-inside.ts';
import { shell } from '../../../../workflows/operation/names.ts';

type Input = InputOf<typeof snapshotDeletionOnHost, 'ensureSnapshotForgotten'>;

/** @throws Hold `unproven` when a disk still has a layer or a state of that name */
export async function ensureSnapshotForgotten(deps: HostDeps, input: Input): Promise<void> {
  const { vm, vmUuid, name } = input;
  await inTurn(vmUuid, async () => {
    const found = await deps.libvirt.snapshotXml(vmUuid, name);
    if (found === null) return;
    const snapshot = await readSnapshot(deps.libvirt, found);
    const layered = snapshot.disks.filter(({ kind }) => kind === 'external' || kind === 'manual');
    const targets = targetsOf(await observeDomain(deps, { vm }, vmUuid));
    const left = [
      // One that the VM does not have any more has nothing to say.
      ...layered.map((disk) => disk.name).filter((disk) => targets.includes(disk)),
      ...(await stillInside(deps, input, snapshot)),
    ];
    if (left.length > 0) throw taken(input, left);
    await deps.effect('libvirt.delete-snapshot-record', `${vm} ${name}`, () =>
      deps.libvirt.deleteSnapshotRecord(vmUuid, name),
    );
  });
  await syncRecords({ name: vm, uuid: vmUuid });
}

/** Disks of the record whose images have one of that name, or cannot be read. */
async function stillInside(deps: HostDeps, { vm, vmUuid, name }: Input, snapshot: Snapshot) {
  const recorded = disksInside(snapshot);
  if (recorded.length === 0) return [];
  const { chains, live, persistentDomain } = await lookInside(
    deps,
    { vm, host: deps.host },
    vmUuid,
  );
  const targets = targetsOf({ live, persistentDomain });
  return recorded.filter((disk) => {
    const chain = chains.find((one) => one.disk === disk);
    // One that the VM does not have any more has nothing to say.
    if (!chain) return targets.includes(disk);
    return innerOf(chain).some((inner) => inner.name === name);
  });
}

const taken = ({ vm, name }: Input, left: readonly string[]) =>
  hold('unproven', {
    attempted: `removing snapshot ${name} of ${vm} from libvirt's list`,
    now: `its disks are done, but ${left.join(', ')} of libvirt's record still have it`,
    next: `See ${shell`blockflow snapshot list ${vm}`}: another snapshot of that name may be new`,
  });
