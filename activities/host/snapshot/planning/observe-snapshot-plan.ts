/** Plans a snapshot: which disks and overlays; refuses early, finds what earlier runs left. */
import { dirname, join } from 'node:path';
import { vmName } from '../../../../workflows/operation/names.ts';
import { refused } from '../../../../workflows/operation/failures.ts';
import { inLine } from '../../../../workflows/operation/words.ts';
import type { Volume } from '../../../../workflows/chain/schemas.ts';
import type {
  PlannedDisk,
  SnapshotPlan,
  SnapshotPlanOutcome,
} from '../../../../workflows/snapshot/create/plan.ts';
import type { CreateSnapshotInput } from '../../../../workflows/snapshot/create/request.ts';
import { createWords } from '../../../../workflows/snapshot/create/words.ts';
import { observeFile } from '../../../adapters/files/files.ts';
import { LONGEST_NAME_BYTES } from '../../../pool-folder/reservation.ts';
import { observeChain } from '../../chain/observe-chain.ts';
import { assertSameBelow } from '../../chain/same-below.ts';
import { refuseMissingLayer } from '../../chain/missing-layer.ts';
import { refusedManagedSave } from '../../chain/managed-save.ts';
import { observeVm } from '../../chain/observe-vm.ts';
import type { HostDeps } from '../../deps.ts';
import { assertEmulator } from '../../chain/emulator.ts';
import { assertOnlyWriter } from '../../uses/only-writer.ts';
import { assertNotWritten } from '../../uses/writers.ts';
import { assertUsable } from '../../pools/usable-folders.ts';
import { assertDiskReady, assertRecorded, assertRoomForLayer } from './guards.ts';
import { chooseDisks } from './choose-disks.ts';
import { unfinishedSnapshot } from '../../snapshots/creation-notes.ts';
import { assertNoUnfinishedRevert } from '../../snapshots/revert-notes.ts';
import { toOverlays } from './overlays.ts';

/**
 * Observes and decides; has no effect.
 * @throws Refused or Hold as the guards say.
 */
export async function observeSnapshotPlan(
  deps: HostDeps,
  input: CreateSnapshotInput,
): Promise<SnapshotPlanOutcome> {
  const attempted = `planning \`${createWords(input)}\``;
  const vm = await observeVm(deps, input.vm);
  const domain = vm.live ?? vm.persistentDomain;
  if (!domain) throw new Error(`VM ${input.vm} has neither a live nor a persistent XML`);
  if (vm.state === 'off' && vm.managedSave) throw refusedManagedSave(attempted, input.vm);
  const earlier = await unfinishedSnapshot(vm);
  if (earlier) return { kind: 'unfinished', earlier };
  await assertNoUnfinishedRevert(attempted, vm);
  const snapshot = input.name ?? timeName();
  await assertNameFree(deps, attempted, vm.uuid, snapshot);
  await assertNoCheckpoints(deps, attempted, vm.uuid);
  const { chosen, left } = chooseDisks(attempted, input, domain);
  const chains = await Promise.all(chosen.map((disk) => chainOf(deps, input, disk, attempted)));
  const found = await Promise.all(chains.map((chain) => assertDiskReady(deps, attempted, chain)));
  const warnings = found.flat();
  for (const chain of chains) assertRecorded(attempted, chain);
  for (const chain of chains) assertRoomForLayer(attempted, chain);
  for (const chain of chains) await assertSameBelow(attempted, chain, activeOf(chain.volumes));
  const bases = chains.map(({ volumes }) => activeOf(volumes));
  const owner = { uuid: vm.uuid, disks: chosen };
  await assertOnlyWriter(deps, { attempted, volumes: bases, owner });
  // QEMU has those of a VM that runs, and others are kept out by its locks.
  if (vm.state === 'off') await assertNotWritten(attempted, bases);
  await assertUsable(
    deps,
    attempted,
    bases.map(({ path }) => dirname(path)),
  );
  if (vm.state === 'off') await assertEmulator(deps, attempted, vm.persistentDomain);
  const disks = await toOverlays(chains, snapshot);
  await assertNamesFree(attempted, disks);
  const { name, uuid, state, persistent } = vm;
  const plan: SnapshotPlan = {
    vm: vmName.parse(name),
    vmUuid: uuid,
    host: deps.host,
    persistent,
    running: state !== 'off',
    snapshot,
    description: input.description,
    createdAt: Math.floor(Date.now() / 1000),
    quiesce: input.quiesce,
    disks,
    left,
    warnings,
  };
  return { kind: 'plan', plan };
}

/** `2026-11-30_095531`: a request without a name is another one each time. */
export const timeName = () =>
  new Date().toISOString().slice(0, 19).replace('T', '_').replaceAll(':', '');

const activeOf = (volumes: readonly Volume[]) => volumes.at(-1) as Volume;

const chainOf = (
  deps: HostDeps,
  { vm, host }: CreateSnapshotInput,
  disk: string,
  attempted: string,
) => observeChain(deps, { vm, disk, host }).catch(refuseMissingLayer(deps, attempted));

export async function assertNameFree(
  deps: HostDeps,
  attempted: string,
  uuid: string,
  name: string,
) {
  if ((await deps.libvirt.snapshotXml(uuid, name)) === null) return;
  throw refused('snapshot-exists', {
    attempted,
    now: `libvirt lists a snapshot ${name} of this VM; nothing was done`,
    next: 'Choose another name, or delete that snapshot first (`blockflow snapshot delete`)',
  });
}

/** libvirt takes no snapshot of a VM with checkpoints, and lists none. */
export async function assertNoCheckpoints(deps: HostDeps, attempted: string, uuid: string) {
  const checkpoints = await deps.libvirt.checkpointNames(uuid);
  if (checkpoints.length === 0) return;
  throw refused('checkpoints', {
    attempted,
    now:
      `the VM has checkpoints (${inLine(checkpoints.join(', '))}), and libvirt lists no new ` +
      'snapshot meanwhile; nothing was done',
    next: 'Delete the checkpoints first (`virsh checkpoint-delete`)',
  });
}

export async function assertNamesFree(
  attempted: string,
  disks: readonly PlannedDisk[],
): Promise<void> {
  for (const { to, name, disk } of disks) {
    const path = join(to.folder, name);
    if (Buffer.byteLength(name) > LONGEST_NAME_BYTES) {
      throw refused('invalid-request', {
        attempted,
        now:
          `the overlay of ${disk} would be called ${name}, which is longer than ` +
          `${LONGEST_NAME_BYTES} bytes; nothing was done`,
        next: 'Choose a shorter name for the snapshot, or for the file of the disk',
      });
    }
    if (!(await observeFile(path))) continue;
    throw refused('name-taken', {
      attempted,
      now: `${path} exists, which would be the overlay of ${disk}; nothing was done`,
      next: 'Delete or rename that file if nothing needs it, or choose another name',
    });
  }
}
