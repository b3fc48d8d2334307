/**
 * MoveDisks: moves several disks of a VM to another pool, or all; of a VM that runs they switch
 * within one suspension of the guest. With `sources: keep` it copies them instead, as they are at
 * one moment.
 *
 *   planning ─ copying ─ [waiting for a decision] ─ switching ─ completing ─ finished
 *      └─ waiting for space, or for the pool
 *
 * Steps, and what is durable when each is done:
 *  1. plan      nothing outside; a plan of each disk, and whether there is space for all. A disk
 *               that is refused refuses the whole.
 *  2. copy      a MoveImage `VM/DISK` of each disk, all at once: its id is the lock of the disk, it
 *               has a life of its own, and outlives this workflow. Of a VM that runs each copies
 *               its lower layers, mirrors its active layer, and waits at READY for the others.
 *               With --converge one waits already when what is left fits into the suspension; with
 *               --wait-for-decision all wait for a person, and *keep* makes a copy of the move.
 *  3. switch    POINT OF NO RETURN, as soon as one disk has switched. In one suspension: all
 *               pivots, all records proven; of copies: the ends of all mirrors, or of none. A disk
 *               that did not switch stays a mirror, and it is tried again.
 *  4. complete  each move sees that its disk has switched, proves it, lets the snapshots follow and
 *               starts the deletion of its source.
 *
 * Of a VM that is down, and where the suspension would last for longer than --max-pause, there is
 * no step 3: each disk switches by itself.
 *
 * Cancel or failure: before 3 the moves of all disks are cancelled, and each leaves its source as
 * it was; a disk that has switched by itself stays so. After it a cancel is refused. Terminate: the
 * moves wait at READY; the same request adopts them. Invariants: I1 (3), I5 (2), I6, I8, I9, I12
 * (3), I14 (2), I17.
 */
import { CancellationScope, sleep } from '@temporalio/workflow';
import type { Choice } from '../../operation/contract.ts';
import { agentsOf, type Agents, type Operation } from '../../operation/operation.ts';
import { retry } from '../../operation/failures.ts';
import { forwardOnly } from '../../operation/point-of-no-return.ts';
import { run } from '../../operation/run.ts';
import type { poolsOnHost, poolsOnStorage } from '../../pools/activities.ts';
import { untilBack, untilSpace } from '../../pools/waiting.ts';
import type { transferOnHost } from '../activities.ts';
import type { disksOnHost } from './activities.ts';
import {
  acceptMessages,
  ask,
  follow,
  release,
  untilAllReady,
  untilDecided,
  type Group,
  type Plan,
} from './following.ts';
import { moveDisksKind, type MoveDisksResult } from './kind.ts';
import type { DisksPlan } from './plan.ts';
import { planDisks } from './planning.ts';
import { alreadyThere, assertDone, report, showDisks } from './tally.ts';
import type { MoveDisksInput } from './request.ts';
import { hasEnded } from './words.ts';
import { shell } from '../../operation/names.ts';

type OnHost = typeof transferOnHost & typeof disksOnHost & typeof poolsOnHost;

export interface DisksMove
  extends Operation<typeof moveDisksKind>, Agents<OnHost, typeof poolsOnStorage> {}

export function MoveDisks(request: MoveDisksInput): Promise<MoveDisksResult> {
  return run(moveDisksKind, request, (opened) => {
    const op = Object.assign(opened, agentsOf<OnHost, typeof poolsOnStorage>(opened));
    const group = acceptMessages(op);
    return () => moveDisks(op, group);
  });
}

async function moveDisks(op: DisksMove, group: Group): Promise<MoveDisksResult> {
  const planned = await untilPlanned(op); // 1
  if (planned.kind === 'done') return alreadyThere(op, planned.reason);
  showDisks(op, planned);
  op.enter('copying');
  // A cancel reaches the moves by us alone: not after the switch.
  const moves = await forwardOnly(() => Promise.resolve(startAll(op, planned, group))); // 2
  op.truth = 'the sources stay as they are, and workflows of their own delete the copies';
  let stallMs: number | null = null;
  try {
    stallMs = await untilSwitched(op, planned, group); // 3
  } catch (error) {
    if (!group.isReleased) moves.cancel();
    await forwardOnly(() => moves.ended);
    throw assertDone(op, group, error);
  }
  await forwardOnly(() => moves.ended); // 4
  if (group.failures.length > 0) throw assertDone(op, group, null);
  return report(op, planned, { ...group, stallMs });
}

async function untilPlanned(op: DisksMove): Promise<DisksPlan> {
  for (;;) {
    const planned = await planDisks(op);
    if (planned.kind === 'no-space') await untilSpace(op, planned, 'nothing was done');
    else if (planned.kind === 'pool-away') {
      const { to, reason } = planned;
      await untilBack(op, { to, jobId: op.jobId, until: 'mounted' }, reason);
    } else return planned;
    op.enter('planning', { note: null });
  }
}

/** Called in a scope that a cancel of the operation does not reach. */
function startAll(op: DisksMove, plan: Plan, group: Group) {
  const scope = new CancellationScope();
  const all = () => Promise.all(op.status.disks.map((disk) => follow(op, plan, group, disk)));
  const ended = scope.run(all);
  return { ended, cancel: () => scope.cancel() };
}

/** Suspensions in which nothing switched, before it is given up; and the pause between two. */
const [SUSPENSIONS, PAUSE_MS] = [20, 1000];

/** @returns for how long the guest stood still; null without a common switch */
async function untilSwitched(op: DisksMove, plan: Plan, group: Group): Promise<number | null> {
  let stallMs: number | null = null;
  let isPast = false;
  const reasons: string[] = [];
  for (;;) {
    // A disk that has switched lets no cancel through: the others follow it.
    await (isPast ? forwardOnly(() => untilAllReady(op, group)) : untilAllReady(op, group));
    const choice = await untilDecided(op, group);
    const [failure] = group.failures;
    if (failure) throw failure;
    if (op.status.disks.every(hasEnded)) return stallMs;
    if (choice === null) continue;
    group.keeps ||= choice === 'keep';
    if (plan.switch !== 'together') {
      await goOn(op, group, choice);
      continue;
    }
    const done = await switchAll(op, group, isPast);
    stallMs = done.stallMs ?? stallMs;
    if (done.reason === null) {
      op.point.isBehind();
      op.enter('completing', { note: null });
      return stallMs;
    }
    if (!done.isMissed) reasons.push(done.reason);
    if (reasons.length > SUSPENSIONS) throw notSwitched(op, [...new Set(reasons)]);
    isPast ||= done.isPast;
    await (isPast ? forwardOnly(() => sleep(PAUSE_MS)) : sleep(PAUSE_MS));
  }
}

/** Each by itself. */
async function goOn(op: DisksMove, group: Group, choice: Choice): Promise<void> {
  const disks = [...group.ready.keys()].sort();
  group.ready.clear();
  await Promise.all(disks.map((disk) => release(op, disk, choice)));
}

interface Switched {
  stallMs: number | null;
  /** Why it is to be tried again; null when every disk has switched. */
  reason: string | null;
  /** Whether any has. */
  isPast: boolean;
  /** A mirror had more left than fits into the suspension, and is waited for again. */
  isMissed: boolean;
}

/** 3: a disk that a user has changed, or whose pool is unavailable, goes on by itself. */
async function switchAll(op: DisksMove, group: Group, isPast: boolean): Promise<Switched> {
  const isCopy = group.keeps;
  const ready = [...group.ready].sort(([a], [b]) => (a < b ? -1 : 1));
  const jobs = ready.map(([, { job }]) => job);
  const settleMs = op.input.maxPauseMs;
  if (isPast) op.point.isBehind();
  else op.point.pass();
  op.enter('switching', { note: null });
  group.ready.clear();
  const disks = jobs.map(({ plan }) => plan.vm?.disk ?? '');
  const summary = isCopy
    ? `end the mirrors of ${disks.join(', ')} at one moment`
    : `pivot ${disks.join(', ')} in one suspension: suspend, pivot, verify, resume`;
  const action = isCopy ? 'abort' : 'pivot';
  const all = await forwardOnly(() =>
    op.host
      .ensureMirrorsSwitched({ jobs, action, settleMs }, summary)
      .catch(async (error: unknown) => {
        // Each move tells what is true of its disk, and keeps source and copy.
        group.isReleased = !isCopy;
        if (!isCopy) await Promise.all(disks.map((disk) => release(op, disk, 'pivot')));
        throw error;
      }),
  );
  const left = all.disks.filter(
    ({ done }) => done.outcome !== 'pivoted' && done.outcome !== 'kept',
  );
  const { stallMs } = all;
  if (left.length === 0) return { stallMs, reason: null, isPast: true, isMissed: false };
  const reason = left
    .map(({ disk, done }) => `${disk}: ${'reason' in done ? done.reason : done.outcome}`)
    .join('; ');
  const note = `not switched yet: ${reason}`;
  const isAll = left.length === all.disks.length;
  if (isAll && !isPast) op.point.takeBack(note);
  else op.tell({ note });
  for (const { disk, done } of left) {
    const isOurs =
      ['not-ready', 'lost'].includes(done.outcome) || (isCopy && done.outcome === 'pool-away');
    const why = isBehind(done) ? [done.reason] : [];
    if (isOurs) await forwardOnly(() => ask(op, disk, ...why));
    else if (!isCopy) await forwardOnly(() => release(op, disk, 'pivot'));
  }
  // Copies that are made again would be of another moment than those that are there.
  const isSplit = !isAll || left.some(({ done }) => done.outcome === 'changed');
  if (isCopy && isSplit) throw notSwitched(op, [reason]);
  return { stallMs, reason, isPast: !isAll, isMissed: left.some(({ done }) => isBehind(done)) };
}

type Done = Awaited<
  ReturnType<DisksMove['host']['ensureMirrorsSwitched']>
>['disks'][number]['done'];

const isBehind = (done: Done): done is Extract<Done, { outcome: 'not-ready' }> =>
  done.outcome === 'not-ready' && done.isBehind === true;

function notSwitched(op: DisksMove, reasons: readonly string[]) {
  return retry('job-lost', {
    attempted: op.words,
    now: `the disks did not switch together (${reasons.join('; ')})`,
    next:
      `See ${shell`blockflow status ${op.id}/DISK`} and the log of libvirtd, then repeat ` +
      'the request',
  });
}
