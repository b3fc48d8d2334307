/**
 * Plans a move or a copy of an image: observes, refuses early, names the copies, finds what an
 * earlier run left.
 */
import { dirname, join } from 'node:path';
import type {
  Conversion,
  ImagePlan,
  ImagePlanOutcome,
  ImageVolume,
} from '../../../../workflows/transfer/plan.ts';
import { convergenceOptions } from '../../../../workflows/operation/steering/convergence-input.ts';
import { copyPaths } from '../../../../workflows/transfer/copied.ts';
import { imageId } from '../../../../workflows/chain/references.ts';
import { keepsSource, type PlanRequest } from '../../../../workflows/transfer/request.ts';
import { lackOf } from '../../../../workflows/transfer/space.ts';
import { observeFile, observeSpace } from '../../../adapters/files/files.ts';
import { assertNotRenamedMeanwhile } from '../../../pool-folder/unfinished-move.ts';
import { identityOfPool, lookedAt, nameVolume } from '../../../pool-folder/id.ts';
import { missingPool, type MissingPool } from '../../../pool-folder/known-pools.ts';
import { nameFrom } from '../../../adapters/files/paths.ts';
import { asFileName } from '../../../adapters/qemu-img/qemu-img.ts';
import { assertAttributesFollow } from './attributes.ts';
import { assertDirectIo } from './direct-io.ts';
import { copyNames } from './copy-names.ts';
import type { HostDeps } from '../../deps.ts';
import {
  copiedBefore,
  earlierRuns,
  runsElsewhere,
  runsIn,
  runToAdopt,
  sortByUse,
  type EarlierRun,
} from './earlier-runs.ts';
import { observeNotes } from './notes.ts';
import {
  assertMirrorable,
  goesOn,
  mirroringRun,
  runningChain,
  topShape,
  writesOf,
} from './running.ts';
import { assertNoSnapshots, isFlattened, planConversion, spaceFor } from './conversion.ts';
import {
  assertFitsHistory,
  assertNamesFree,
  assertQuiet,
  assertUnused,
  attempt,
  assertUnderstood,
} from './guards.ts';
import { assertUnchangedSince } from './changed-since.ts';
import { assertOpen } from '../../pools/open-to-qemu.ts';
import { assertSound } from '../../chain/sound-headers.ts';
import { assertEmulator } from '../../chain/emulator.ts';
import { assertChangeable, assertUsable } from '../../pools/usable-folders.ts';
import { assertNamesFit, assertRedefinable } from '../../snapshots/redefinable.ts';
import { snapshotsNaming } from '../../snapshots/snapshots.ts';
import type { FilePool } from '../../../adapters/virsh/pools.ts';
import { findPool, observeImage, type Image } from '../../chain/observe-image.ts';
import { assertMirrorInTouch } from '../../pivot/in-touch.ts';
import { refuseMissingLayer } from '../../chain/missing-layer.ts';
import { assertNoUnfinishedSnapshot } from '../../snapshots/creation-notes.ts';
import { otherHosts } from '../../uses/observe-uses.ts';
import { identitiesOf } from '../../uses/volume-users.ts';

type Target = ImagePlan['to'];

/**
 * Observes and decides; has no effect.
 * @throws Refused or Hold as the guards say.
 */
export async function observeImagePlan(
  deps: HostDeps,
  request: PlanRequest,
): Promise<ImagePlanOutcome> {
  const attempted = attempt(request);
  const moves = !keepsSource(request);
  const missingLayer = refuseMissingLayer(deps, attempted);
  const image = await observeImage(deps, request.image).catch(missingLayer);
  const found = findPool(request.image, image.pools, request.to);
  const missing = await missingPool(deps.stateDir, found.folder);
  if (missing) return unavailable(found, missing);
  const to = await toTarget(found);
  const vmUuid = image.chain?.vm.uuid ?? null;
  const target = { name: to.pool, folder: to.folder };
  const earlier = await earlierRuns(target, imageId(request.image), vmUuid);
  if (moves) {
    const finished = earlier.find(({ plan, owner }) => owner !== null && isSwitched(image, plan));
    if (finished) {
      return { kind: 'plan', plan: await switchedBefore(deps, image, finished, earlier) };
    }
    assertUnchangedSince(attempted, image, earlier);
    if (image.chain) await assertNotRenamedMeanwhile(attempted, image.chain);
  }
  await assertMirrorable(deps, request, image);
  await assertNoSnapshots(deps, request, image);
  const convert = planConversion(request, image);
  if (moves && !changesFormat(image, convert) && !isFlattened(request, image)) {
    if (image.volumes.every(({ pool }) => pool === to.pool)) return alreadyThere(image, to.pool);
  }
  if (image.chain && mayBeLive(request)) {
    const { chain } = image;
    await assertMirrorInTouch(deps, attempted, chain);
    await assertNoUnfinishedSnapshot(attempted, { ...chain, ...chain.vm }, chain.disk);
  }
  assertQuiet(request, image);
  await assertUsable(deps, attempted, [to.folder]);
  if (moves) await assertSourceUsable(deps, attempted, image);
  const starts = mayBeLive(request) ? (image.chain?.vm.uuid ?? null) : null;
  const reach = await assertOpen(deps, attempted, to.folder, starts);
  if (mayBeLive(request)) await assertDirectIo(attempted, image.chain, to.folder);
  const paths = image.volumes.map(({ path }) => path);
  const lost = await assertAttributesFollow(attempted, paths, to.folder);
  const notes = await observeNotes(image, convert, moves);
  const warnings = [
    ...notes,
    ...reach,
    ...lost,
    ...(moves ? await assertUnused(deps, request, image) : []),
    ...(runningChain(image) ? [] : withoutEffect(request)),
  ];
  const plan = await toPlan(deps, { request, image, to, convert, warnings }, earlier);
  assertFitsHistory(request, image, plan);
  assertUnderstood(request, image, plan);
  await assertRedefinable(deps, attempted, plan.vm?.uuid ?? '', plan.snapshots);
  assertSound(attempted, layersWritten(image, plan));
  await assertNamesFree(request, image, plan);
  const lack = lackOf([plan], attempted);
  return lack ?? { kind: 'plan', plan };
}

/** QEMU may open the copy. */
const mayBeLive = ({ operation }: PlanRequest) => operation === 'MoveImage';

/** What is moved is deleted, and the record of its VM changed. */
async function assertSourceUsable(deps: HostDeps, attempted: string, { chain, volumes }: Image) {
  const folders = volumes.map(({ path }) => dirname(path));
  await assertUsable(deps, attempted, folders);
  await assertChangeable(attempted, volumes);
  if (chain?.vm.state === 'off') await assertEmulator(deps, attempted, chain.persistentDomain);
}

/** Options of a mirror. */
function withoutEffect(request: PlanRequest): string[] {
  const given = [
    ...(writesOf(request) ? ['--synchronous-writes'] : []),
    ...(request.operation === 'MoveImage' ? convergenceOptions(request) : []),
  ];
  return given.map((option) => `no running VM has it open, so ${option} has no effect`);
}

/** Copies whose backing name changes; and the active layer, with which a VM has to start. */
function layersWritten({ volumes }: Image, { vm, volumes: planned }: ImagePlan) {
  const isTop = (at: number) => vm !== null && at === volumes.length - 1;
  return volumes.filter((_, at) => isTop(at) || planned[at]?.rebase);
}

/** Its inode counts for nothing: it is waited for by the id. */
const unavailable = ({ name, folder }: FilePool, { id, now, next }: MissingPool) => ({
  kind: 'pool-away' as const,
  to: { pool: name, folder, identity: `${id}:0` },
  reason: `${now}. ${next}`,
});

async function toTarget({ name: pool, folder }: FilePool): Promise<Target> {
  const identity = (await observeFile(folder))?.identity;
  if (identity === undefined) throw new Error(`${folder} of pool ${pool} does not exist`);
  return { pool, folder, identity: await identityOfPool({ pool, folder }, identity) };
}

/** True when the image is where that run's plan wanted it: its record was switched. */
function isSwitched(image: Image, plan: ImagePlan): boolean {
  const wanted = copyPaths(plan);
  return image.volumes.map((volume) => volume.path).join('\n') === wanted.join('\n');
}

async function switchedBefore(
  deps: HostDeps,
  image: Image,
  { plan, jobId, owner }: EarlierRun,
  all: readonly EarlierRun[],
): Promise<ImagePlan> {
  const others = { runs: withoutJob(all, jobId), mirroredBy: null };
  const { used, unused } = await sortByUse(deps, image, others);
  const leftovers = { leftovers: jobIds(unused), usedLeftovers: jobIds(used) };
  const adopted = owner === null ? null : { jobId, owner };
  const elsewhere = await runsElsewhere(deps, image, plan.to, null);
  return { ...plan, adopted, ...leftovers, elsewhere, switched: true };
}

const adoption = ({ jobId, owner, hasMirroredTop }: RunToAdopt) => ({
  ...{ jobId, owner },
  ...(hasMirroredTop ? { hasMirroredTop } : {}),
});
type RunToAdopt = NonNullable<ReturnType<typeof runToAdopt>>;

const jobIds = (runs: readonly EarlierRun[]) => runs.map(({ jobId }) => jobId);
const withoutJob = (runs: readonly EarlierRun[], jobId: string | undefined) =>
  runs.filter((run) => run.jobId !== jobId);

function alreadyThere(image: Image, pool: string): ImagePlanOutcome {
  const chain = image.volumes.map((volume) => volume.path);
  return { kind: 'done', chain, reason: `every volume of it is in pool ${pool}` };
}

/** What is copied, and into what. */
interface Transfer {
  request: PlanRequest;
  image: Image;
  to: Target;
  convert: Conversion | null;
  warnings: string[];
}

const changesFormat = ({ volumes }: Image, convert: Conversion | null) =>
  convert !== null && convert.format !== volumes.at(-1)?.format;

async function toPlan(
  deps: HostDeps,
  transfer: Transfer,
  earlier: readonly EarlierRun[],
): Promise<ImagePlan> {
  const { request, image, to, convert, warnings } = transfer;
  const moves = !keepsSource(request);
  const running = mayBeLive(request) ? runningChain(image) : null;
  const { volumes, backing } = await toVolumes(transfer, running !== null);
  const flatten = isFlattened(request, image);
  const shape = running && topShape(image, backing, { convert, writes: writesOf(request) });
  const runs = running ? await runsIn(deps, image.pools, imageId(request.image)) : [];
  const mirroredBy = running && (await mirroringRun(deps, request, running, runs));
  const { used, unused } = await sortByUse(deps, image, { runs: earlier, mirroredBy });
  // The one whose mirror runs rather than another one.
  const order = [...unused].sort((a) => (a.jobId === mirroredBy ? -1 : 0));
  const wanted = { volumes, flatten, live: shape };
  const run = runToAdopt(order, wanted, request.verify);
  const adopted = run && adoption(run);
  const { chain } = image;
  const isOfVm = chain !== null && mayBeLive(request);
  const vm = isOfVm ? { name: chain.vm.name, uuid: chain.vm.uuid, disk: chain.disk } : null;
  const { freeBytes, totalBytes } = await observeSpace(to.folder);
  const sum = (part: (volume: ImageVolume) => number) =>
    volumes.reduce((all, v) => all + part(v), 0);
  const needed = convert ? await spaceFor(image.volumes, convert) : sum((v) => v.allocatedBytes);
  const there = await copiedBefore(unused);
  const names =
    vm && moves ? await snapshotsNaming(deps, vm.uuid, identitiesOf(image.volumes)) : [];
  assertNamesFit(attempt(request), vm?.name ?? '', names);
  return {
    host: deps.host,
    vm,
    to,
    volumes,
    ...(flatten ? { flatten } : {}),
    snapshots: names,
    totalBytes: convert?.virtualSizeBytes ?? sum((volume) => volume.sizeBytes),
    spaceNeededBytes: Math.max(0, needed - there),
    spaceFreeBytes: freeBytes,
    spaceTotalBytes: totalBytes,
    // Copies that were to be verified are, also for who does not ask for it.
    verify: run?.plan.verify ?? request.verify,
    adopted,
    leftovers: jobIds(withoutJob(unused, adopted?.jobId)),
    usedLeftovers: jobIds(used),
    elsewhere: await runsElsewhere(deps, image, to, mirroredBy),
    switched: false,
    live: shape && { ...shape, isMirrored: goesOn(run, mirroredBy, shape) },
    sharedWith: moves ? await otherHosts(deps, volumes) : [],
    warnings,
  };
}

/** With what the header of a mirrored active layer is to name. */
async function toVolumes(
  transfer: Transfer,
  isLive: boolean,
): Promise<{ volumes: ImageVolume[]; backing: ImageVolume['rebase'] }> {
  const { request, image, to, convert } = transfer;
  const given = request.operation === 'CopyImage' ? request.name : undefined;
  const newFormat = convert && changesFormat(image, convert) ? convert.format : null;
  const names = copyNames({ volumes: image.volumes, given, newFormat });
  const flatten = isFlattened(request, image);
  const nameSource = request.operation === 'MoveImage' ? nameVolume : lookedAt;
  let backing: ImageVolume['rebase'] = null;
  const toVolume = async (volume: Image['volumes'][number], i: number): Promise<ImageVolume> => {
    const { format, sizeBytes, allocatedBytes, modifiedNs } = volume;
    const name = names[i] as string;
    const before = { ...(await nameSource(volume)), format, sizeBytes, allocatedBytes, modifiedNs };
    const isRewritten = !flatten || i === image.volumes.length - 1;
    const facts = { ...before, name, convert: isRewritten ? convert : null };
    const below = image.volumes[i - 1];
    const { backingName } = volume.header;
    if (flatten || !below || backingName === null) return { ...facts, rebase: null };
    const wanted = headerName(backingName, to.folder, names[i - 1] as string);
    if (isLive && i === image.volumes.length - 1) {
      backing = { name: wanted, format: below.format };
      return { ...facts, rebase: null };
    }
    const rebase = wanted === backingName ? null : { name: wanted, format: below.format };
    return { ...facts, rebase };
  };
  const volumes = await Promise.all(image.volumes.map(toVolume));
  return { volumes, backing };
}

/** A relative name stays relative, and stays as it is where it leads to the right copy. */
function headerName(before: string, folder: string, below: string): string {
  const isRelative = !before.startsWith('/') && !before.startsWith('file:');
  if (!isRelative) return join(folder, below);
  return nameFrom(folder, before) === join(folder, below) ? before : asFileName(below);
}
