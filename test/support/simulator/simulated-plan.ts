/** What the simulated host agent observes, and the plan that it makes of it. */
import {
  assertPossible,
  selectVolumes,
} from '../../../activities/host/merge/planning/selection.ts';
import { isUnfinishedOn } from '../../../activities/pool-folder/unfinished-move.ts';
import { bug, hold, refused } from '../../../workflows/operation/failures.ts';
import type { DiskRef } from '../../../workflows/chain/references.ts';
import type { LiveMergeInput } from '../../../workflows/merge/request.ts';
import type { MergePlan, PlanOutcome } from '../../../workflows/merge/plan.ts';
import type { Volume } from '../../../workflows/chain/schemas.ts';
import { childOf } from './simulated-images.ts';
import type { SimulatedVm } from './simulated-vm.ts';

export interface SimulatedJob {
  /** Paths; those of a foreign job mean nothing. */
  top: string;
  base: string;
  mode: 'active' | 'inner' | 'foreign';
  copiedBytes: number;
  totalBytes: number;
  limit: number;
  atMs: number;
  /** When everything was copied; READY comes later than that. */
  fullAtMs: number | null;
  ready: boolean;
  /** Blocks that base does not have yet, in the order in which they will be copied. */
  pending: number[];
}

const MIB = 1048576;

export function planOf(vm: SimulatedVm, input: LiveMergeInput): PlanOutcome {
  vm.advance();
  const { chain, record, job } = vm;
  const differ = vm.disagreement ?? (record ? null : disagreementOf(vm));
  if (differ !== null) {
    throw hold('divergent-chain', { attempted: 'planning', now: differ, next: 'Compare' });
  }
  if (record && !vm.paths().includes(record.top)) {
    return job ? { kind: 'busy', job: jobOf(vm), reason: 'a foreign job' } : leftOver(vm, input);
  }
  if (!record) assertNoUnfinishedMove(vm);
  assertNoUnfinished(vm);
  const selection = selectVolumes(input, chain, snapshotLayer(vm, input));
  if (!selection) return { kind: 'done', chain, reason: 'the disk is a single volume' };
  const { top, base, committed, overlay } = selection;
  assertPossible(input, selection, vm.state);
  assertNoneInside(vm, input, committed);
  assertUnshared(vm, [base, ...committed]);
  const asked = record?.top === top.path && record.base === base.path;
  if (job && !(asked && vm.isOurs(selection))) {
    return { kind: 'busy', job: jobOf(vm), reason: 'a foreign job' };
  }
  const neededBytes = committed.length * MIB;
  const { freeBytes } = vm;
  if (!job && neededBytes > freeBytes) {
    return { kind: 'no-space', path: base.path, neededBytes, freeBytes };
  }
  const kept = input.keepOverlay || input.keepVolumes;
  return {
    kind: 'plan',
    plan: {
      vm: vm.name,
      vmUuid: vm.machine.uuid,
      disk: input.disk,
      host: input.host,
      persistent: true,
      adopted: record,
      alreadyMerged: false,
      chainBefore: chain,
      mode: vm.state === 'off' ? 'cold' : overlay ? 'inner' : 'active',
      top,
      base,
      overlay,
      committed,
      deletes: kept ? [] : committed.map(named),
      snapshots: kept ? [] : changesOf(vm, { committed, base }),
      spaceNeededBytes: neededBytes,
      spaceFreeBytes: freeBytes,
      sharedWith: [],
    },
  };
}

/** Where the views of a chain are not one, in words. */
export function disagreementOf(vm: SimulatedVm): string | null {
  if (vm.state === 'off') return null;
  const [live, record] = [vm.live, vm.persistent].map((chain) => chain.at(-1)?.path);
  if (vm.unseen) return `QEMU writes ${vm.unseen.at(-1)?.path}, libvirt shows ${live}`;
  return live === record ? null : `the running domain has ${live}, the record ${record}`;
}

/** The overlay that came with a snapshot; without a tree every disk has one at its base. */
function snapshotLayer(vm: SimulatedVm, { snapshot }: LiveMergeInput): string | undefined {
  const { points } = vm.machine.tree;
  if (snapshot === undefined) return undefined;
  if (points.length === 0 && vm.snapshots.length > 0) return vm.path(1);
  const source = vm.machine.tree.find(snapshot)?.disks.get(vm.disk)?.source;
  if (source != null) return source;
  const now = `libvirt lists ${points.map(({ name }) => name).join(', ')}`;
  throw refused('unknown-snapshot', { attempted: 'planning', now, next: 'See the list' });
}

export const mergedBy = (
  disk: string,
  { committed, base }: Pick<MergePlan, 'committed' | 'base'>,
) => ({
  disk,
  gone: new Set(committed.map(({ path }) => path)),
  base: base.path,
});

const changesOf = (vm: SimulatedVm, merge: Pick<MergePlan, 'committed' | 'base'>) => [
  ...vm.snapshots,
  ...vm.machine.tree.changesOf(mergedBy(vm.disk, merge)),
];

/** One that switched, and was ended before it had deleted its source. */
function assertNoUnfinishedMove(vm: SimulatedVm): void {
  const runs = [...vm.images.reservations.values()];
  const run = runs.find((each) => isUnfinishedOn(vm.chain, each));
  if (!run) return;
  const now = `move ${run.jobId} is unfinished`;
  throw refused('other-operation', { attempted: 'planning', now, next: 'Repeat it' });
}

/** A snapshot of the disk, as its note says. */
function assertNoUnfinished({ machine: { notes }, disk }: SimulatedVm): void {
  const isOfDisk = notes.all.some(
    ({ content }) =>
      content.of === 'snapshot' && content.text.snapshot.disks.some((one) => one.disk === disk),
  );
  if (!isOfDisk) return;
  const now = 'a snapshot of it is unfinished';
  throw refused('other-operation', { attempted: 'planning', now, next: 'Repeat it' });
}

/** H8: they would go with the file. */
function assertNoneInside(vm: SimulatedVm, input: LiveMergeInput, committed: readonly Volume[]) {
  if (input.keepOverlay || input.keepVolumes) return;
  const holder = committed.find(({ path }) => vm.inner.of(path).length > 0);
  if (!holder) return;
  const now = `${holder.path} holds internal snapshots`;
  throw refused('internal-snapshots', { attempted: 'planning', now, next: 'Delete them' });
}

/** I13: what another chain stands on is not changed. */
function assertUnshared(vm: SimulatedVm, touched: readonly Volume[]): void {
  const paths = touched.map(({ path }) => path);
  const shared = childOf(
    vm,
    (path) => paths.includes(path),
    (path) => vm.paths().includes(path),
  );
  if (shared === null) return;
  const now = `${shared} is also the backing file of another chain`;
  throw refused('shared-base', { attempted: 'planning', now, next: 'Merge above it' });
}

const named = ({ path, identity, pool }: Volume) => ({ path, identity, pool: pool ?? '' });
const TYPES = { active: 'Active Block Commit', inner: 'Block Commit', foreign: 'Block Copy' };

export function jobOf(vm: SimulatedVm) {
  const { mode, copiedBytes, totalBytes, limit, ready } = vm.job as NonNullable<typeof vm.job>;
  return { type: TYPES[mode], copiedBytes, totalBytes, bandwidthBytesPerSecond: limit, ready };
}

/** What an earlier run switched and did not delete. */
function leftOver(vm: SimulatedVm, input: LiveMergeInput): PlanOutcome {
  const record = vm.record as NonNullable<typeof vm.record>;
  const base = vm.chain.find(({ path }) => path === record.base);
  if (!base) throw bug('the record names no base of the chain');
  const gone = (path: string): Volume => ({ ...base, path });
  const { disk, host } = input;
  const same = { vm: vm.name, vmUuid: vm.machine.uuid, disk, host, base, top: gone(record.top) };
  const found = { adopted: record, alreadyMerged: true, chainBefore: vm.chain, overlay: null };
  const committed = record.deletes.map((volume) => ({ ...gone(volume.path), ...volume }));
  const left = {
    committed,
    deletes: record.deletes,
    snapshots: changesOf(vm, { committed, base }),
    persistent: true,
  };
  const space = { spaceNeededBytes: 0, spaceFreeBytes: vm.freeBytes, sharedWith: [] };
  const plan: MergePlan = { ...same, ...found, ...left, ...space, mode: record.mode };
  return { kind: 'plan', plan };
}

export function observation(vm: SimulatedVm, { disk, host }: DiskRef) {
  vm.advance();
  const paths = vm.paths();
  const { name, state, chain: volumes, record } = vm;
  const { uuid, stateReason } = vm.machine;
  const running = state === 'off' ? null : paths;
  return {
    vm: { name, uuid, state, stateReason, persistent: true },
    disk,
    host,
    readOnly: false,
    transient: false,
    volumes,
    record,
    job: vm.job && jobOf(vm),
    views: { live: running, persistent: vm.persistentPaths(), headers: paths, open: running },
    disagreements: [],
  };
}
