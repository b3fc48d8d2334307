/**
 * The point of no return of a move: libvirt's record of the VM and of its snapshots names the
 * copies.
 */
import type { ResultOf } from '../../../workflows/operation/activities.ts';
import type { transferOnHost, ImageJob } from '../../../workflows/transfer/activities.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import { hold, retry } from '../../../workflows/operation/failures.ts';
import type { ImagePlan, ImageVolume } from '../../../workflows/transfer/plan.ts';
import { readSnapshot } from '../../adapters/virsh/pools.ts';
import { canonical } from '../../adapters/files/files.ts';
import { syncRecords } from '../../adapters/virsh/libvirt-folders.ts';
import { withFormat } from '../../adapters/libvirt-xml/snapshot-format.ts';
import {
  renameSources,
  sourcesOf,
  type Snapshot,
} from '../../adapters/libvirt-xml/snapshot-xml.ts';
import { isReserved } from '../../pool-folder/presence.ts';
import { formatOf } from '../../../workflows/transfer/copied.ts';
import { orRefused } from '../../door/lasting.ts';
import type { HostDeps } from '../deps.ts';
import { observeWriter } from '../uses/writers.ts';
import { observeReach } from '../pools/open-to-qemu.ts';
import { inTurn } from '../snapshots/in-turn.ts';
import { switchRecord, type RecordSwitch } from '../pivot/switch-record.ts';
import { copyPath, goneCopy, nameIn, takenSnapshots, whereRecordIs, type Vm } from './copies.ts';
import { ensureImageHeld } from './ensure-image-held.ts';
import { lostWords, observeState } from '../chain/lost-vm.ts';
import { wasSaved } from '../chain/managed-save.ts';
import { shell } from '../../../workflows/operation/names.ts';

type Outcome = ResultOf<typeof transferOnHost, 'ensureRecordSwitched'>;

/**
 * One change of the disk's persistent element decides: before it the source is the truth, after it
 * only the copies. The snapshots' metadata follows, and all is flushed and read back. An image of
 * no VM has no record.
 */
export async function ensureRecordSwitched(deps: HostDeps, job: ImageJob): Promise<Outcome> {
  const { vm } = job.plan;
  if (!vm) return { outcome: 'switched' };
  const isUntouched = async () => (await whereRecordIs(deps, job.plan, vm)) === 'source';
  return orRefused(() => switchAll(deps, job, vm), isUntouched);
}

async function switchAll(deps: HostDeps, job: ImageJob, vm: Vm): Promise<Outcome> {
  const before = await whereRecordIs(deps, job.plan, vm);
  if (before === 'gone') return { outcome: 'gone', reason: `VM ${vm.name} was undefined` };
  if (before === 'elsewhere') throw elsewhere(job.plan, vm);
  if (before === 'source') {
    const obstacle = await obstacleToSwitch(deps, job, vm);
    if (obstacle !== null) return obstacle;
    await switchRecord(deps, changeOf(job.plan, vm), '--current');
  }
  // libvirt does not flush its folder: without this a power cut could bring the source's name back.
  await syncRecords(vm);
  // Not those of the plan: a snapshot may have been made during the copy.
  const changed = await inTurn(vm.uuid, async () => {
    const stale = await staleSnapshots(deps, job.plan, vm);
    for (const snapshot of stale) await redefine(deps, job.plan, vm, snapshot);
    return stale.length > 0;
  });
  if (changed) await syncRecords(vm);
  await assertSwitched(deps, job.plan, vm);
  return { outcome: 'switched' };
}

/** The last look before: still off, still held, still what was copied, in a pool that is there. */
async function obstacleToSwitch(deps: HostDeps, job: ImageJob, vm: Vm): Promise<Outcome | null> {
  const { to } = job.plan;
  const held = await ensureImageHeld(deps, job);
  if (held.outcome !== 'held') return notSwitched(held.reason);
  const gone = await goneCopy(job);
  if (gone !== null && !(await isReserved(to, job.jobId))) {
    const reason = `${to.folder} does not hold the copies. Mount pool ${to.pool} again`;
    return { outcome: 'pool-away', reason };
  }
  if (gone !== null) return notSwitched(`${gone} is not the copy that was made (any more)`);
  const { state, managedSave, lost } = await observeState(deps, vm.uuid);
  if (lost) return notSwitched(lostWords(vm, lost));
  // By a start between plan and hold that wrote nothing; the hold itself lets none run.
  if (managedSave) return notSwitched(wasSaved(vm.name));
  if (state !== 'off') return notSwitched(`VM ${vm.name} is ${state}`);
  const taken = await takenSnapshots(deps, job.plan, vm);
  if (taken !== null) return notSwitched(taken);
  const writer = await observeWriter(job.plan.volumes);
  if (writer !== null) return notSwitched(writer);
  const { closed } = await observeReach(deps, to.folder, vm.uuid);
  return closed === null ? null : notSwitched(closed);
}

const notSwitched = (reason: string): Outcome => ({ outcome: 'not-switched', reason });

function changeOf(plan: ImagePlan, vm: Vm): RecordSwitch {
  const top = plan.volumes.at(-1) as ImageVolume;
  const to = { path: copyPath(plan, top), format: formatOf(top) };
  return { vm: vm.name, vmUuid: vm.uuid, disk: vm.disk, to, nameOf: nameIn(plan) };
}

/** The names a snapshot uses for moved files, as it spells them, with their new ones. */
async function renamedIn(plan: ImagePlan, snapshot: Snapshot): Promise<Map<string, string>> {
  const renamed = new Map<string, string>();
  for (const source of sourcesOf(snapshot)) {
    const path = await canonical(source);
    const volume = plan.volumes.find((candidate) => candidate.path === path);
    if (volume) renamed.set(source, copyPath(plan, volume));
  }
  return renamed;
}

interface Stale {
  name: string;
  snapshot: Snapshot;
  renamed: Map<string, string>;
}

/**
 * The snapshots that name the source now, parents first. Also internal ones: reverting to one with
 * stale metadata would silently bring the source's name back.
 */
async function staleSnapshots(deps: HostDeps, plan: ImagePlan, vm: Vm): Promise<Stale[]> {
  const stale: Stale[] = [];
  // A flat copy is none of a snapshot's layers: one that was taken since keeps the source.
  if (plan.flatten) return stale;
  for (const { name, xml } of await deps.libvirt.snapshotTexts(vm.uuid)) {
    const snapshot = await readSnapshot(deps.libvirt, xml);
    const renamed = await renamedIn(plan, snapshot);
    if (renamed.size > 0) stale.push({ name, snapshot, renamed });
  }
  return stale;
}

async function redefine(
  deps: HostDeps,
  plan: ImagePlan,
  vm: Vm,
  { name, snapshot, renamed }: Stale,
): Promise<void> {
  const target = `${operationId({ vm: vm.name, disk: vm.disk })} ${name}`;
  const moved = plan.volumes
    .filter((volume) => formatOf(volume) !== volume.format)
    .reduce(
      (text, volume) => withFormat(text, copyPath(plan, volume), formatOf(volume)),
      renameSources(snapshot, renamed),
    );
  await deps.effect('libvirt.redefine-snapshot', target, () =>
    deps.libvirt.redefineSnapshot(vm.uuid, moved),
  );
}

async function assertSwitched(deps: HostDeps, plan: ImagePlan, vm: Vm): Promise<void> {
  const stale = (await staleSnapshots(deps, plan, vm)).map(({ name }) => `snapshot ${name}`);
  if ((await whereRecordIs(deps, plan, vm)) !== 'target') stale.push('the persistent XML');
  if (stale.length === 0) return;
  throw retry('command-failed', {
    attempted: `switching the record of ${vm.name}/${vm.disk}`,
    now: `${stale.join(', ')} still names the source, which is kept`,
    next: 'blockflow tries again; see `virsh snapshot-list` and `virsh domblklist --inactive`',
  });
}

function elsewhere(plan: ImagePlan, vm: Vm) {
  return hold('divergent-chain', {
    attempted: `switching the record of ${vm.name}/${vm.disk}`,
    now: `it names neither ${plan.volumes.at(-1)?.path} nor its copy (any more); both are kept`,
    next: `Compare with ${shell`virsh domblklist ${vm.name} --inactive`}, fix it, try again`,
  });
}
