/** Plans a revert: which layers of which snapshot; refuses early, finds what earlier runs left. */
import { refused } from '../../../../workflows/operation/failures.ts';
import { vmName, shell } from '../../../../workflows/operation/names.ts';
import { nameVolume } from '../../../pool-folder/id.ts';
import type { Volume } from '../../../../workflows/chain/schemas.ts';
import type { PlannedDisk } from '../../../../workflows/snapshot/create/plan.ts';
import type {
  RevertedDisk,
  RevertPlan,
  RevertPlanOutcome,
} from '../../../../workflows/snapshot/revert/plan.ts';
import { layersLeft } from '../../../../workflows/snapshot/revert/change.ts';
import type { RevertSnapshotInput } from '../../../../workflows/snapshot/revert/request.ts';
import { revertWords } from '../../../../workflows/snapshot/revert/words.ts';
import { layersSayMore } from '../../../adapters/libvirt-xml/disk-element.ts';
import { hasEmulatedTpm, hasNvram } from '../../../adapters/libvirt-xml/domain-xml.ts';
import { refusedManagedSave } from '../../chain/managed-save.ts';
import { refuseMissingLayer } from '../../chain/missing-layer.ts';
import { observeChain, type Chain } from '../../chain/observe-chain.ts';
import { observeVm, type VmLook } from '../../chain/observe-vm.ts';
import type { HostDeps } from '../../deps.ts';
import { assertEmulator } from '../../chain/emulator.ts';
import { otherHosts } from '../../uses/observe-uses.ts';
import { assertUsable } from '../../pools/usable-folders.ts';
import { assertNamesFit, assertRedefinable } from '../../snapshots/redefinable.ts';
import { assertDiskReady } from '../planning/guards.ts';
import { assertNamesFree } from '../planning/observe-snapshot-plan.ts';
import { poolFolderOf, toOverlays } from '../planning/overlays.ts';
import { assertNoUnfinishedSnapshot } from '../../snapshots/creation-notes.ts';
import { fingerprintsOf } from './below.ts';
import { assertDiscardable } from './discarded.ts';
import { lastRevert, unfinishedRevert } from './earlier.ts';
import { revertNotes } from '../../snapshots/revert-notes.ts';
import { observeRestorePoint, type RestorePoint } from './restore-point.ts';
import { saysMore } from './says-more.ts';

/** Observes and decides; has no effect. @throws Refused or Hold as the guards say */
export async function observeRevertPlan(
  deps: HostDeps,
  input: RevertSnapshotInput,
): Promise<RevertPlanOutcome> {
  const attempted = `planning \`${revertWords(input)}\``;
  const vm = await observeVm(deps, input.vm);
  const notes = await revertNotes(vm);
  const question = { attempted, input, vm };
  const unfinished = await unfinishedRevert(question, notes);
  // What has switched is completed whatever the VM does now.
  if (unfinished?.kind === 'switched') return unfinished;
  assertDown(attempted, vm);
  await assertEmulator(deps, attempted, vm.persistentDomain);
  if (unfinished) return unfinished;
  await assertNoUnfinishedSnapshot(attempted, vm);
  if (input.name === null) {
    const last = await lastRevert(question, notes);
    if (last.kind === 'undo') {
      for (const { disk } of last.change.disks) await discardedChain(deps, question, disk);
      return { ...last, sharedWith: await otherHosts(deps, layersLeft(last)) };
    }
    return last;
  }
  const going = { kind: 'plan', plan: await planOf(deps, question, input.name) } as const;
  return { ...going, sharedWith: await otherHosts(deps, layersLeft(going)) };
}

interface Question {
  attempted: string;
  input: RevertSnapshotInput;
  vm: VmLook;
}

function assertDown(attempted: string, { name, state, persistent, managedSave }: VmLook): void {
  if (state !== 'off') {
    throw refused('vm-running', {
      attempted,
      now: `VM ${name} is ${state}; a revert changes the disks of a VM that is down`,
      next: `Shut it down (${shell`virsh shutdown ${name}`}) and try again`,
    });
  }
  if (managedSave) throw refusedManagedSave(attempted, name);
  if (persistent) return;
  throw refused('not-persistent', {
    attempted,
    now: `VM ${name} is transient: it has no record to go back in`,
    next: 'Define it, and repeat the request',
  });
}

/** The chain that a disk has now, of which the active layer is discarded; with warnings. */
async function discardedChain(
  deps: HostDeps,
  { attempted, input, vm }: Question,
  disk: string,
): Promise<{ chain: Chain; warnings: string[] }> {
  const ref = { vm: vm.name, disk, host: input.host };
  const chain = await observeChain(deps, ref).catch(refuseMissingLayer(deps, attempted));
  await assertDiskReady(deps, attempted, chain, 'Move the disk, or go back by hand');
  return { chain, warnings: await assertDiscardable(deps, attempted, chain, input.undo) };
}

async function planOf(deps: HostDeps, question: Question, name: string): Promise<RevertPlan> {
  const { attempted, vm } = question;
  await assertRedefinable(deps, attempted, vm.uuid, [name]);
  const before = await deps.libvirt.currentSnapshot(vm.uuid);
  assertNamesFit(attempted, vm.name, before === null ? [] : [before]);
  const point = await observeRestorePoint(deps, question, name);
  const xml = await deps.libvirt.inactiveXml(vm.uuid);
  const disks: RevertedDisk[] = [];
  const warnings = new Set([...warningsOf(point), ...besideDisks(xml)]);
  const ending = String(Math.floor(Date.now() / 1000));
  const overlays = await toOverlays(point.disks, ending);
  for (const [at, based] of point.disks.entries()) {
    const found = await discardedChain(deps, question, based.disk);
    const now = found.chain;
    found.warnings.forEach((warning) => warnings.add(warning));
    if (layersSayMore(xml, based.disk)) throw saysMore(attempted, based.disk);
    const below = await fingerprintsOf([...now.volumes.slice(0, -1), ...based.volumes]);
    disks.push({ ...(overlays[at] as PlannedDisk), retired: await layerOf(now), below });
  }
  await assertUsable(
    deps,
    attempted,
    disks.flatMap(({ to, retired }) => [to.folder, retired.to.folder]),
  );
  await assertNamesFree(attempted, disks);
  const { takenAtSeconds } = point;
  return {
    ...{ vm: vmName.parse(vm.name), vmUuid: vm.uuid, host: deps.host, snapshot: name, disks },
    before,
    stay: point.stay,
    stayed: point.stayed,
    takenAt: takenAtSeconds === null ? null : new Date(takenAtSeconds * 1000).toISOString(),
    warnings: [...warnings],
  };
}

const warningsOf = ({ memory }: RestorePoint) =>
  memory ? ["the guest's memory in the snapshot is dropped: the VM boots from its disks"] : [];

/** What the guest has kept outside of its disks; a snapshot of disks has none of it. */
function besideDisks(xml: string): string[] {
  const kept = [
    ...(hasNvram(xml) ? ['the variables of its firmware (NVRAM)'] : []),
    ...(hasEmulatedTpm(xml) ? ['its emulated TPM'] : []),
  ];
  if (kept.length === 0) return [];
  return [
    `${kept.join(' and ')} stay as they are now, as they are in no snapshot: a guest whose disks ` +
      'are encrypted by them may ask for its recovery key',
  ];
}

async function layerOf({ volumes }: Chain) {
  const active = volumes.at(-1) as Volume;
  const volume = await nameVolume(active);
  return { volume, format: active.format, to: await poolFolderOf(active) };
}
