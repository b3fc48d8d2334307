/**
 * Plans a merge: observes the chain, refuses early, measures space, and finds what an earlier run
 * left behind.
 */
import { dirname } from 'node:path';
import { canonical, observeFile, observeSpace } from '../../../adapters/files/files.ts';
import { nameVolume } from '../../../pool-folder/id.ts';
import { measure } from '../../../adapters/qemu-img/qemu-img.ts';
import type { Snapshot } from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import { refused } from '../../../../workflows/operation/failures.ts';
import { sizeWords } from '../../../../workflows/operation/words.ts';
import type { BlockJob, SnapshotChange, Volume } from '../../../../workflows/chain/schemas.ts';
import type { LiveMergeInput } from '../../../../workflows/merge/request.ts';
import type { MergePlan, PlanOutcome } from '../../../../workflows/merge/plan.ts';
import type { NamedVolume } from '../../../../workflows/chain/references.ts';
import { onThisHost } from '../../../pool-folder/presence.ts';
import type { HostDeps } from '../../deps.ts';
import {
  assertAgreement,
  assertBitmapsFollow,
  assertInPools,
  assertNoInternalSnapshots,
  assertNotSaved,
  assertUnderstood,
  assertUnshared,
  assertWritable,
  assertWritableHeaders,
  attempt,
  tooSmall,
} from './guards.ts';
import { assertInTouch } from '../../pivot/in-touch.ts';
import { observeLeases } from '../../pivot/lock-manager.ts';
import { observeNotes } from './notes.ts';
import { assertPossible, selectVolumes, type Selection } from './selection.ts';
import { assertSizesFit } from './sizes.ts';
import { strayRecord } from './stray-record.ts';
import { assertEmulator } from '../../chain/emulator.ts';
import { assertStarts } from '../../pools/open-to-qemu.ts';
import { assertChangeable, assertUsable } from '../../pools/usable-folders.ts';
import { assertNotWritten } from '../../uses/writers.ts';
import { observeSharing } from '../../uses/sharing.ts';
import { observeChain, toObservation, type Chain } from '../../chain/observe-chain.ts';
import { assertSameBelow, assertSameFrom } from '../../chain/same-below.ts';
import { refuseMissingLayer } from '../../chain/missing-layer.ts';
import { assertNoUnfinishedMove } from '../../../pool-folder/unfinished-move.ts';
import { isCommitInto } from '../../pivot/our-commit.ts';
import { otherHosts } from '../../uses/observe-uses.ts';
import { changeOf, namesOf, redefinedBy } from '../../snapshots/after-merge.ts';
import { assertNoUnfinishedSnapshot } from '../../snapshots/creation-notes.ts';
import { assertNamesFit, assertRedefinable } from '../../snapshots/redefinable.ts';
import { observeSnapshots, spellingsOf } from '../../snapshots/snapshots.ts';
import { shell } from '../../../../workflows/operation/names.ts';

/**
 * Observes and decides; has no effect.
 * @throws Refused or Hold as the guards say.
 */
export async function observeMergePlan(
  deps: HostDeps,
  input: LiveMergeInput,
): Promise<PlanOutcome> {
  const outcome = await lookOnce(deps, input);
  // A job that has begun since the chain was read has its record in the XML only now.
  return outcome.kind === 'busy' ? lookOnce(deps, input) : outcome;
}

async function lookOnce(deps: HostDeps, input: LiveMergeInput): Promise<PlanOutcome> {
  const attempted = attempt(input);
  const chain = await observeChain(deps, input).catch(refuseMissingLayer(deps, attempted));
  assertWritable(input, chain);
  const [{ job }, snapshots] = await Promise.all([
    toObservation(deps, chain),
    observeSnapshots(deps, chain.vm.uuid),
  ]);
  const isInLimbo = await assertInTouch(deps, attempted, chain);
  const finished = await leftOver(deps, attempted, chain, snapshots);
  if (finished) return job ? busy(input, job) : { kind: 'plan', plan: finished };
  if (!chain.record) await assertNoUnfinishedMove(attempted, chain);

  const named = await resolveNames(input);
  const layer = await snapshotLayer(input, snapshots);
  const selection = selectVolumes(named, chain.volumes, layer);
  if (!selection) {
    return { kind: 'done', chain: chain.volumes, reason: nothingAbove(chain.volumes) };
  }
  assertPossible(input, selection, chain.vm.state);
  if (job && !(await isOurs(chain, selection, job))) return busy(input, job);
  await assertNoUnfinishedSnapshot(attempted, { ...chain, ...chain.vm }, input.disk);
  assertNotSaved(input, chain);
  assertUnderstood(input, chain, selection);
  if (!isInLimbo) assertAgreement(input, chain);
  const { base, committed, overlay } = selection;
  const touched = [base, ...committed, ...(overlay ? [overlay] : [])];
  assertInPools(input, chain, touched);
  const folders = touched.map(({ path }) => dirname(path));
  await assertUsable(deps, attempted, folders);
  await assertChangeable(attempted, touched);
  if (chain.vm.state === 'off') await assertEmulator(deps, attempted, chain.persistentDomain);
  assertNoInternalSnapshots(input, selection);
  assertWritableHeaders(input, chain, selection);
  await assertSameBelow(attempted, chain, base);
  if (overlay && input.keepRelative) await assertSameFrom(attempted, chain, overlay, base);
  const pivots = !overlay && !input.keepOverlay;
  const leases = await observeLeases(attempted, chain.vm, { pivots });
  const sizes = job ? [] : assertSizesFit(input, chain, selection);
  const notes = job ? [] : await assertBitmapsFollow(deps, input, chain, selection);
  const sharing = await observeSharing(deps, chain, [base, ...committed], chain.volumes);
  assertUnshared(input, sharing);
  // QEMU has those of a VM that runs, and others are kept out by its locks.
  if (chain.vm.state === 'off') await assertNotWritten(attempted, touched);
  if (!overlay && !job) {
    await assertStarts(deps, attempted, { path: base.path, vm: chain.vm.uuid, disk: input.disk });
  }
  const made = await toPlan(deps, input, chain, selection, snapshots, job !== null);
  assertNamesFit(attempted, chain.vm.name, namesOf(made.snapshots));
  await assertRedefinable(deps, attempted, chain.vm.uuid, redefinedBy(made.snapshots));
  const left = await observeNotes(chain, made, { named: input.snapshot, snapshots });
  const plan = { ...made, warnings: [...sharing.warnings, ...sizes, ...notes, ...leases, ...left] };
  if (!job && plan.spaceNeededBytes > plan.spaceFreeBytes) return lackOfSpace(plan);
  return { kind: 'plan', plan };
}

const nothingAbove = (volumes: readonly Volume[]) =>
  `${volumes.at(-1)?.path} is the active layer: there is nothing above it to merge`;

/** Paths as the chain spells them: with links resolved. */
async function resolveNames(input: LiveMergeInput): Promise<LiveMergeInput> {
  const resolve = async (name?: string) => (name?.startsWith('/') ? await canonical(name) : name);
  const [top, base] = await Promise.all([resolve(input.top), resolve(input.base)]);
  return { ...input, ...(top ? { top } : {}), ...(base ? { base } : {}) };
}

/**
 * True when the running job is the one that our record on this disk announces, and the one asked
 * for.
 */
async function isOurs(chain: Chain, selection: Selection, job: BlockJob): Promise<boolean> {
  const { top, base } = selection;
  const { record, xmlDisk } = chain;
  if (!record || record.top !== top.path || record.base !== base.path) return false;
  return isCommitInto(base.path, record.mode, xmlDisk, job);
}

function busy(input: LiveMergeInput, job: BlockJob): PlanOutcome {
  const reason = `disk ${input.disk} of ${input.vm} has a block job that is not this request's: ${
    job.type
  }, ${sizeWords(job.copiedBytes)} of ${sizeWords(job.totalBytes)}`;
  return { kind: 'busy', job, reason };
}

/**
 * An earlier run's merge that is done but for the deletion: its record is there, its top is not in
 * the chain. Null without one.
 * @throws Hold `divergent-chain` when base is not in the chain, either
 */
async function leftOver(
  deps: HostDeps,
  attempted: string,
  chain: Chain,
  snapshots: Snapshot[],
): Promise<MergePlan | null> {
  const { record } = chain;
  if (!record || chain.volumes.some((volume) => volume.path === record.top)) return null;
  const base = chain.volumes.find((volume) => volume.path === record.base);
  if (!base) throw strayRecord(attempted, chain.vm.name, record);
  const committed = await Promise.all(record.deletes.map((named) => goneVolume(named, base)));
  return {
    vm: chain.vm.name,
    vmUuid: chain.vm.uuid,
    disk: chain.disk,
    host: chain.host,
    mode: record.mode,
    persistent: chain.isRecorded,
    adopted: record,
    alreadyMerged: true,
    chainBefore: chain.volumes,
    top: await goneVolume({ path: record.top, pool: base.pool ?? '', identity: '0:0' }, base),
    base,
    overlay: null,
    committed,
    deletes: record.deletes,
    snapshots: await snapshotChanges(chain.disk, snapshots, committed),
    spaceNeededBytes: 0,
    spaceFreeBytes: 0,
    // The record may have come with the XML of another host's VM.
    sharedWith: await otherHosts(deps, [base, ...committed]),
  };
}

async function goneVolume(left: NamedVolume, base: Volume): Promise<Volume> {
  const named = await onThisHost(left, `looking for ${left.path}`);
  const facts = await observeFile(named.path);
  return {
    ...base,
    path: named.path,
    index: null,
    identity: named.identity,
    pool: named.pool,
    allocatedBytes: facts?.allocatedBytes ?? 0,
    internalSnapshots: [],
  };
}

/**
 * The overlay that came with an external snapshot: committing it down deletes that snapshot's
 * layer.
 */
async function snapshotLayer(
  input: LiveMergeInput,
  snapshots: Snapshot[],
): Promise<string | undefined> {
  if (input.snapshot === undefined) return undefined;
  const snapshot = snapshots.find(({ name }) => name === input.snapshot);
  const disk = snapshot?.disks.find(({ name }) => name === input.disk);
  if (disk?.kind === 'external' && disk.source) return canonical(disk.source);
  throw refused('unknown-snapshot', {
    attempted: `finding external snapshot ${input.snapshot} of ${input.vm}/${input.disk}`,
    now: snapshot
      ? `its layer of ${input.disk} is ${disk?.kind ?? 'not part of it'}, not external`
      : `libvirt lists ${snapshots.map(({ name }) => name).join(', ') || 'no snapshots'}`,
    next: `See ${shell`virsh snapshot-list ${input.vm}`}`,
  });
}

async function toPlan(
  deps: HostDeps,
  input: LiveMergeInput,
  chain: Chain,
  selection: Selection,
  snapshots: Snapshot[],
  adopting: boolean,
): Promise<MergePlan> {
  const { base, committed, overlay } = selection;
  const keep = input.keepVolumes || input.keepOverlay;
  const { freeBytes, totalBytes } = await observeSpace(base.path);
  const spaceNeededBytes = adopting ? 0 : await spaceNeeded(chain, selection, freeBytes);
  if (spaceNeededBytes > totalBytes) throw tooSmall(input, base, spaceNeededBytes, totalBytes);
  return {
    vm: chain.vm.name,
    vmUuid: chain.vm.uuid,
    disk: input.disk,
    host: chain.host,
    mode: chain.vm.state === 'off' ? 'cold' : overlay ? 'inner' : 'active',
    persistent: chain.isRecorded,
    adopted: chain.record,
    alreadyMerged: false,
    chainBefore: chain.volumes,
    ...selection,
    overlayModifiedNs: (overlay && (await observeFile(overlay.path)))?.modifiedNs ?? null,
    deletes: keep ? [] : await Promise.all(committed.map(nameVolume)),
    snapshots: keep ? [] : await snapshotChanges(input.disk, snapshots, committed),
    spaceNeededBytes,
    spaceFreeBytes: freeBytes,
    // They were asked before the job was started.
    sharedWith: adopting ? [] : await otherHosts(deps, [base, ...committed]),
  };
}

/**
 * Bytes that base's file system must still give. The sum of what the layers hold is an upper bound;
 * only where it does not fit is the result measured (which QEMU refuses while a commit job runs:
 * "consistent read" lock).
 */
async function spaceNeeded(
  chain: Chain,
  { top, base, committed }: Selection,
  freeBytes: number,
): Promise<number> {
  const upperBound = committed.reduce((sum, volume) => sum + volume.allocatedBytes, 0);
  if (upperBound <= freeBytes || chain.volumes[0] !== base) return upperBound;
  const upToTop = chain.volumes.findIndex(({ path }) => path === top.path) + 1;
  const whole = await measure(chain.volumes.slice(0, upToTop), base.format);
  return Math.min(upperBound, Math.max(0, whole - base.allocatedBytes));
}

/** What libvirt's snapshots become, as far as it can be told now. */
async function snapshotChanges(
  disk: string,
  snapshots: Snapshot[],
  committed: Volume[],
): Promise<SnapshotChange[]> {
  const gone = await spellingsOf(
    snapshots,
    committed.map((volume) => volume.path),
  );
  return snapshots.flatMap((snapshot) => {
    const action = changeOf(snapshot, { disk, gone });
    return action === null ? [] : [{ name: snapshot.name, action }];
  });
}

function lackOfSpace(plan: MergePlan): PlanOutcome {
  const { spaceNeededBytes: neededBytes, spaceFreeBytes: freeBytes, base } = plan;
  return { kind: 'no-space', path: base.path, neededBytes, freeBytes };
}
