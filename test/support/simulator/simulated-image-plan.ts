/** What the simulated host agent plans for an image, and what it refuses. */
import { isUnfinishedOn } from '../../../activities/pool-folder/unfinished-move.ts';
import { hold } from '../../../workflows/operation/failures.ts';
import { fileName } from '../../../workflows/operation/words.ts';
import { codeOf } from '../../../workflows/chain/other-hosts.ts';
import type { ImagePlan, ImagePlanOutcome } from '../../../workflows/transfer/plan.ts';
import { type ImageRef, imageId, type NamedVolume } from '../../../workflows/chain/references.ts';
import type { RemovalPlan } from '../../../workflows/removal/plan.ts';
import type { RemoveImageInput } from '../../../workflows/removal/request.ts';
import type { PlanRequest } from '../../../workflows/transfer/request.ts';
import {
  elsewhereOf,
  mirroringRun,
  refuse,
  shapeOf,
  sortByUse,
  toAdopt,
} from './live/simulated-adoption.ts';
import { away } from './simulated-image-host.ts';
import {
  identityOf,
  isLocked,
  isReserved,
  isThere,
  manifestOf,
  referencesTo,
  reservationFolder,
  staged,
  type Reserved,
} from './simulated-images.ts';
import { again } from './simulated-switch.ts';
import type { SimulatedVm } from './simulated-vm.ts';

const MIB = 1048576;
function chainOf(vm: SimulatedVm, ref: ImageRef): string[] {
  if (ref.kind === 'disk') {
    const gone = vm.paths().find((path) => !isThere(vm, path));
    if (gone !== undefined) throw again(`${gone} cannot be read`);
    return vm.paths();
  }
  const path = `/${ref.pool}/${ref.volume}`;
  if (!isThere(vm, path)) throw refuse('unknown-volume', `${path} does not exist`);
  const chain = vm.files.chainOf(path);
  const gone = chain.find((layer) => !vm.files.has(layer));
  if (gone !== undefined) throw refuse('broken-chain', `${gone} does not exist`);
  return chain;
}

function volumesOf(vm: SimulatedVm, chain: readonly string[], pool: string): ImagePlan['volumes'] {
  return chain.map((path, at) => {
    const backing = chain[at - 1];
    const wanted = backing === undefined ? null : `/${pool}/${fileName(backing)}`;
    return {
      path,
      pool: path.split('/')[1] ?? '',
      format: 'qcow2',
      sizeBytes: MIB,
      identity: vm.files.identity(path) ?? '',
      allocatedBytes: MIB,
      convert: null,
      modifiedNs: String(vm.content.layer(path).writes),
      name: fileName(path),
      rebase: wanted === null || wanted === backing ? null : { name: wanted, format: 'qcow2' },
    };
  });
}

export function imagePlanOf(vm: SimulatedVm, request: PlanRequest): ImagePlanOutcome {
  vm.advance();
  const { image, to: pool, operation, host } = request;
  if (vm.images.away.has(pool)) throw again(`/${pool} does not exist`);
  const chain = chainOf(vm, image);
  const moves = operation === 'MoveImage';
  const earlier = [...vm.images.reservations.values()].filter(
    (run) => run.workflow === imageId(image) && run.plan.to.pool === pool,
  );
  const finished =
    moves && earlier.find(({ plan, owner }) => owner !== null && isSwitched(chain, plan));
  if (finished) return switchedBefore(vm, finished, earlier, elsewhereOf(vm, request));
  if (moves) assertUnchangedSince(chain, earlier);
  if (moves && chain.every((path) => path.startsWith(`/${pool}/`))) {
    return { kind: 'done', chain, reason: `every volume of it is in pool ${pool}` };
  }
  const disk = image.kind === 'disk' ? image.disk : null;
  if (disk !== null) assertQuiet(vm, moves);
  const volumes = volumesOf(vm, chain, pool);
  const mirrored = disk === null ? null : mirroringRun(vm, request);
  const top = moves && disk !== null && vm.state !== 'off' ? shapeOf(volumes) : null;
  const files = new Set(volumes.map(({ identity }) => identity));
  const use = moves && referencesTo(vm, files, disk !== null);
  if (use) throw refuse(codeOf({ ...use, by: 'a VM' }), `${use.path} is used by a VM`);
  const { used, unused } = sortByUse(vm, earlier);
  const run = toAdopt(
    unused,
    { volumes, live: top && { ...top, isMirrored: false } },
    request.verify,
  );
  const adopted = run ? adoptedOf(run) : null;
  const owner = moves && disk !== null ? { name: vm.name, uuid: vm.machine.uuid, disk } : null;
  const naming = vm.snapshots.length > 0 && files.has(identityOf(vm, vm.snapshotSource) ?? '');
  const snapshots = owner && naming ? vm.snapshots.map(({ name }) => name) : [];
  const needed = volumes.length * MIB;
  const plan: ImagePlan = {
    host,
    vm: owner,
    to: targetIn(pool),
    volumes,
    snapshots,
    adopted,
    totalBytes: needed,
    spaceNeededBytes: needed,
    spaceFreeBytes: vm.freeBytes,
    leftovers: idsOf(unused, adopted),
    usedLeftovers: idsOf(used),
    switched: false,
    live: top && { ...top, isMirrored: run !== undefined && run.jobId === mirrored },
    elsewhere: elsewhereOf(vm, request),
    verify: run?.plan.verify ?? request.verify,
    sharedWith: [],
  };
  assertNamesFree(vm, plan);
  if (vm.freeBytes >= needed) return { kind: 'plan', plan };
  return { kind: 'no-space', path: `/${pool}`, neededBytes: needed, freeBytes: vm.freeBytes };
}

type Adoptable = NonNullable<ReturnType<typeof toAdopt>>;
const adoptedOf = ({ jobId, owner, hasMirroredTop }: Adoptable) => ({
  ...{ jobId, owner: owner ?? '' },
  ...(hasMirroredTop && { hasMirroredTop: true }),
});

function assertQuiet(vm: SimulatedVm, moves: boolean): void {
  if (vm.job) throw refuse('foreign-job', 'another job runs on the disk');
  if (vm.state !== 'off' && !moves) throw refuse('vm-running', `VM ${vm.name} is ${vm.state}`);
  if (vm.record) throw refuse('other-operation', `job ${vm.record.jobId} is unfinished here`);
}

const targetIn = (pool: string) => ({ pool, folder: `/${pool}`, identity: '7:0' });
const isSwitched = (chain: readonly string[], { volumes, to }: ImagePlan) =>
  chain.join() === volumes.map(({ name }) => `${to.folder}/${name}`).join();

function assertUnchangedSince(chain: readonly string[], earlier: readonly Reserved[]): void {
  const volumes = chain.map((path) => ({ path }));
  if (!earlier.some((run) => isUnfinishedOn(volumes, run))) return;
  const now = 'the chain has changed since a move that is unfinished';
  throw hold('divergent-chain', { attempted: 'planning', now, next: 'Look' });
}

const idsOf = (runs: readonly Reserved[], but: ImagePlan['adopted'] = null) =>
  runs.flatMap(({ jobId }) => (jobId === but?.jobId ? [] : jobId));

function switchedBefore(
  vm: SimulatedVm,
  { plan, jobId, owner }: Reserved,
  all: readonly Reserved[],
  elsewhere: ImagePlan['elsewhere'],
): ImagePlanOutcome {
  const { used, unused } = sortByUse(vm, all);
  const own = { jobId, owner: owner ?? '' };
  const rest = { leftovers: idsOf(unused, own), usedLeftovers: idsOf(used, own) };
  return { kind: 'plan', plan: { ...plan, adopted: own, ...rest, elsewhere, switched: true } };
}

function assertNamesFree(vm: SimulatedVm, plan: ImagePlan): void {
  const { volumes, to, adopted, leftovers } = plan;
  for (const { name } of volumes) {
    const there = identityOf(vm, `${to.folder}/${name}`);
    if (there === null) continue;
    // An earlier run may have given it its name already.
    const earlier = [...(adopted ? [adopted.jobId] : []), ...leftovers];
    const own = earlier.map((jobId) => identityOf(vm, staged(to.pool, jobId, name, 'ready')));
    if (!own.includes(there)) throw refuse('name-taken', `${to.folder}/${name} exists`);
  }
}

export function removalPlanOf(vm: SimulatedVm, input: RemoveImageInput): RemovalPlan {
  vm.advance();
  const volumes = toRemove(vm, input);
  const use = referencesTo(vm, new Set(volumes.map(({ identity }) => identity)), false);
  if (use) throw refuse(codeOf({ ...use, by: 'a VM' }), `${use.path} is used by a VM`);
  const made = !input.copies && volumes.find(({ identity }) => isReserved(vm, identity));
  if (made) throw refuse('other-operation', `${made.path} is a copy that is being made`);
  const open = volumes.find(({ path }) => isLocked(vm, path));
  if (open) throw refuse('volume-in-use', `some process has ${open.path} open`);
  // Copies can already be another's: it is no proof for those.
  if (!input.copies) for (const { identity } of volumes) vm.proven.add(identity);
  return { volumes, totalBytes: volumes.length * MIB, sharedWith: [] };
}

function toRemove(vm: SimulatedVm, { left, copies, ...named }: RemoveImageInput): NamedVolume[] {
  const isStillThere = ({ path, identity }: NamedVolume) => identityOf(vm, path) === identity;
  if (copies) return copiesOf(vm, copies);
  if (left) return left.volumes.filter(isStillThere);
  const { pool, volume, format } = named;
  return chainOf(vm, { kind: 'volume', pool, volume, format }).map((path) => ({
    path,
    pool: path.split('/')[1] ?? '',
    identity: vm.files.identity(path) ?? '',
  }));
}

/** By their final names, those that have them; none where another run goes on with them. */
function copiesOf(
  vm: SimulatedVm,
  { to, jobId, owners }: NonNullable<RemoveImageInput['copies']>,
): NamedVolume[] {
  if (vm.images.away.has(to.pool)) throw away(to.folder);
  const run = vm.images.reservations.get(manifestOf(to.pool, jobId));
  if (!run || (run.owner !== null && !owners.includes(run.owner))) return [];
  const folder = reservationFolder(to.pool, jobId);
  return [...vm.files]
    .filter((path) => path.startsWith(`${folder}/`) && path !== manifestOf(to.pool, jobId))
    .map((path) => {
      const identity = vm.files.identity(path) ?? '';
      const final = `${to.folder}/${fileName(path).replace(/\.(part|copied|ready)$/, '')}`;
      const isNamed = identityOf(vm, final) === identity;
      return { path: isNamed ? final : path, pool: to.pool, identity };
    });
}
