/** The mirror of a running VM's active layer, over VMs in memory. */
import { activityInfo } from '@temporalio/activity';
import type { HostActivities } from '../../../../activities/host/index.ts';
import type { StorageActivities } from '../../../../activities/storage/index.ts';
import type { InputOf, ResultOf } from '../../../../workflows/operation/activities.ts';
import { hold } from '../../../../workflows/operation/failures.ts';
import type { ImageJob, transferOnHost } from '../../../../workflows/transfer/activities.ts';
import { BLOCKS } from '../simulated-content.ts';
import { assertReserved, away, ensureHeld, goneCopy } from '../simulated-image-host.ts';
import { isThere, staged } from '../simulated-images.ts';
import { giveBackGuest, passStrike, strikes } from '../simulated-switch.ts';
import type { SimulatedVm } from '../simulated-vm.ts';
import { until, type Implementations } from '../simulated-waits.ts';

/** QEMU's job: whether an agent looks or not, it follows what the guest writes. */
export interface SimulatedMirror {
  /** Of the file that it writes. */
  to: string;
  identity: string;
  /** Blocks that the copy does not have as they are. */
  pending: number[];
  atMs: number;
  /** Once it is, it stays so. */
  ready: boolean;
}

const MIB = 1048576;
const topOf = ({ plan }: ImageJob) => plan.volumes.at(-1) as ImageJob['plan']['volumes'][number];
const readyTop = (job: ImageJob) => staged(job.plan.to.pool, job.jobId, topOf(job).name, 'ready');
const targetOf = (job: ImageJob) => `${job.plan.to.folder}/${topOf(job).name}`;

/** What the mirror did since the last look; without space it fails, and says nothing. */
export function advanceMirror(vm: SimulatedVm): void {
  const { mirror, content } = vm;
  if (!mirror) return;
  const now = vm.machine.now();
  const perBlockMs = vm.copyMs / BLOCKS.length;
  if (mirror.pending.length > 0 && vm.freeBytes === 0) vm.mirror = null;
  while (vm.mirror && mirror.pending.length > 0 && now - mirror.atMs >= perBlockMs) {
    content.copy([vm.paths().at(-1) ?? ''], mirror.to, mirror.pending.splice(0, 1));
    mirror.atMs += perBlockMs;
  }
  if (mirror.pending.length > 0) return;
  mirror.ready = true;
  mirror.atMs = now;
}

const isOurs = ({ mirror, files }: SimulatedVm, job: ImageJob) =>
  mirror !== null && mirror.identity === files.identity(readyTop(job));

/** QEMU, or the record of a VM that is down, has the copy. */
function hasSwitched(vm: SimulatedVm, job: ImageJob): boolean {
  const copy = vm.files.identity(readyTop(job));
  return copy !== null && vm.chain.at(-1)?.identity === copy;
}

/** What the VM runs on, where that is not the source as it was planned. */
function otherSource(vm: SimulatedVm, job: ImageJob): string | null {
  const active = vm.chain.at(-1);
  const { path, identity } = topOf(job);
  return active?.path === path && active.identity === identity ? null : (active?.path ?? '');
}

const stopped = ({ machine }: SimulatedVm) =>
  ({ outcome: 'vm-stopped', reason: machine.stateReason }) as const;
const lost = (reason: string) => ({ outcome: 'lost', reason }) as const;

function started(
  vm: SimulatedVm,
  job: InputOf<typeof transferOnHost, 'ensureMirrorStarted'>,
): ResultOf<typeof transferOnHost, 'ensureMirrorStarted'> {
  assertReserved(vm, job);
  giveBackGuest(vm);
  vm.advance();
  if (hasSwitched(vm, job)) return { outcome: 'finished' };
  if (vm.state === 'off') return stopped(vm);
  if (isOurs(vm, job)) return { outcome: 'started' };
  const active = otherSource(vm, job);
  if (active !== null) return { outcome: 'busy', reason: `the VM runs on ${active} now` };
  if (vm.job || vm.mirror) return { outcome: 'busy', reason: 'another job began on the disk' };
  if (!job.isNewTop || activityInfo().attempt > 1) return lost('no mirror runs (any more)');
  const [from, to] = [topOf(job).path, readyTop(job)];
  const identity = vm.files.identity(to);
  if (identity === null) return lost(`${to} does not exist`);
  if (vm.content.blocksOf([to]).length > 0) vm.violations.push(`${to} has been written before`);
  const pending = vm.content.blocksOf([from]);
  vm.mirror = { to, identity, pending, atMs: vm.machine.now(), ready: false };
  vm.effects.push('mirror');
  passStrike();
  return { outcome: 'started' };
}

/** The last look before the pivot; null when nothing is in the way. */
function obstacle(vm: SimulatedVm, job: ImageJob) {
  if (vm.state === 'off') return stopped(vm);
  if (!isOurs(vm, job) || !vm.mirror?.ready) {
    return { outcome: 'not-ready', reason: 'the mirror is not READY (any more)' } as const;
  }
  const active = otherSource(vm, job);
  if (active !== null) return changed(`the VM runs on ${active} now`);
  const held = ensureHeld(vm, job);
  if (held.outcome !== 'held') return changed(held.reason);
  const gone = goneCopy(vm, job);
  if (gone !== null) return changed(gone);
  const isRecorded = vm.persistent.at(-1)?.identity === topOf(job).identity;
  return isRecorded ? null : changed('the record was changed meanwhile');
}
const changed = (reason: string) => ({ outcome: 'changed', reason }) as const;

/** Suspend, pivot, persistent XML, resume; the script dies with its agent, which is the worst. */
function pivoted(
  vm: SimulatedVm,
  job: ImageJob,
): ResultOf<typeof transferOnHost, 'ensureMirrorPivoted'> {
  giveBackGuest(vm);
  vm.advance();
  if (!hasSwitched(vm, job)) {
    const found = obstacle(vm, job);
    if (found) vm.switchRefused = true;
    if (found) return found;
    vm.effects.push('pivot');
    if (vm.state === 'running') Object.assign(vm, { state: 'paused', suspendedGuest: true });
    passStrike();
    const { to = '', pending = [] } = vm.mirror ?? {};
    vm.content.copy([topOf(job).path], to, pending);
    vm.content.settle(to);
    Object.assign(vm, { mirror: null, live: vm.volumes(targetOf(job)), unrecorded: true });
    if (strikes('qemu')) {
      vm.stop('shut off (crashed)');
      return stopped(vm);
    }
    passStrike('agent late');
    vm.recordLive();
    passStrike('agent last');
    giveBackGuest(vm);
  }
  return { outcome: 'pivoted', stallMs: 12 };
}

/** Those of the host agent. */
export type OfMirror =
  | ('ensureTopCreated' | 'ensureMirrorStarted' | 'awaitMirrorReady' | 'ensureMirrorBandwidth')
  | ('ensureMirrorPivoted' | 'ensureMirrorEnded' | 'observeMoveProof');

export const mirrorHost: Implementations<Pick<HostActivities, OfMirror>> = {
  ensureTopCreated(vm, job) {
    assertReserved(vm, job);
    const ready = readyTop(job);
    if (isThere(vm, ready)) return;
    vm.files.unlink(staged(job.plan.to.pool, job.jobId, topOf(job).name, 'part'));
    vm.files.create(ready, job.plan.live?.backing?.name ?? null);
    passStrike();
  },
  ensureMirrorStarted: (vm, job) => started(vm, job),
  awaitMirrorReady: (vm, job) =>
    until(vm, () => {
      if (hasSwitched(vm, job)) return { outcome: 'finished' };
      if (vm.state === 'off') return stopped(vm);
      if (isOurs(vm, job)) return vm.mirror?.ready && job.until === 'ready' ? READY : null;
      const isLack = vm.freeBytes < MIB;
      const lack = isLack ? { neededBytes: MIB, freeBytes: vm.freeBytes } : null;
      return { ...lost('no mirror runs, and the chain is unchanged'), lack };
    }),
  ensureMirrorBandwidth: ({ mirror }) => mirror !== null,
  ensureMirrorPivoted: (vm, job) => pivoted(vm, job),
  ensureMirrorEnded(vm, job) {
    vm.advance();
    if (isOurs(vm, job)) {
      vm.mirror = null;
      vm.effects.push('end-mirror');
      passStrike();
    }
    giveBackGuest(vm);
    return { outcome: hasSwitched(vm, job) ? 'switched' : 'ended' };
  },
  observeMoveProof(vm, { plan }) {
    const wanted = plan.volumes.map(({ name }) => `${plan.to.folder}/${name}`).join();
    if (vm.paths().join() !== wanted || vm.persistentPaths().join() !== wanted) {
      throw hold('unproven', { attempted: 'proving', now: 'the chain differs', next: 'Look' });
    }
    vm.effects.push('prove-move');
    return { guest: vm.state };
  },
};
const READY = { outcome: 'ready' } as const;

/** Of the SPM agent. */
export const mirrorStorage: Implementations<Pick<StorageActivities, 'ensureTopAbsent'>> = {
  ensureTopAbsent(vm, job) {
    const { pool, folder } = job.plan.to;
    if (vm.images.away.has(pool)) throw away(folder);
    const ready = readyTop(job);
    const identity = vm.files.identity(ready);
    if (identity !== null && vm.files.identity(targetOf(job)) === identity) {
      if (vm.mirror?.identity === identity) vm.violations.push(`${ready} goes under its mirror`);
      vm.files.unlink(targetOf(job));
      passStrike();
    }
    for (const stage of ['part', 'copied', 'ready'] as const) {
      vm.files.unlink(staged(pool, job.jobId, topOf(job).name, stage));
    }
    passStrike('agent late');
  },
};
