/**
 * Steps 5' and 6 of a move whose VM runs: its active layer is mirrored, and QEMU switches to the
 * copy while the guest is suspended.
 */
import { cureOf, storageOf } from '../operation/cure.ts';
import { retry } from '../operation/failures.ts';
import { forwardOnly } from '../operation/point-of-no-return.ts';
import { fileName } from '../operation/words.ts';
import { untilBack, untilSpace, withPool } from '../pools/waiting.ts';
import type { ImageJob } from './activities.ts';
import { createTop, dropTop, nameCopies } from './copying.ts';
import { decide, keepCopy } from './keeping.ts';
import type { ImagePlan } from './plan.ts';
import type { Move, Transfer } from './transfer.ts';
import { keepBoth, undoOnFailure } from './unwanted-copies.ts';

export type Mirrored =
  | { end: 'switched'; stallMs: number | null }
  /** The source stays, and so do the copies. */
  | { end: 'kept' }
  /** The VM is down: the lower copies are gone on with. */
  | { end: 'go on cold'; reason: string }
  /** Why it must be planned again. */
  | { end: 'plan again'; reason: string };

interface Lack {
  neededBytes: number;
  freeBytes: number;
}
type Attempt =
  | Mirrored
  /** With `fits` it is not, but what is left is copied within the suspension. */
  | { end: 'ready'; fits?: true }
  /** `isBehind`: it had more left than that. */
  | { end: 'not ready'; reason: string; isBehind: boolean }
  /** The mirror has ended, or can never be pivoted: another one needs a new file. */
  | { end: 'lost'; reason: string; lack: Lack | null }
  | { end: 'pool away'; reason: string }
  | { end: 'vm stopped'; reason: string };

/** Mirrors that may be lost for no reported reason, and pivots that QEMU may refuse. */
const [MIRRORS, PIVOTS] = [3, 20];

export async function mirrorAndPivot(op: Move, plan: ImagePlan): Promise<Mirrored> {
  const job: ImageJob = { plan, jobId: op.jobId };
  // That of a run before this one was written by its mirror.
  let isNewTop = !plan.live?.isMirrored;
  const lost: string[] = [];
  const refused: string[] = [];
  for (;;) {
    const ready = await undoOnFailure(op, plan, () => untilReady(op, job, isNewTop));
    const done = ready.end === 'ready' ? await atReady(op, job, ready) : ready;
    isNewTop = false;
    if (done.end === 'switched' || done.end === 'kept' || done.end === 'plan again') return done;
    // Its user wants to keep the source: a cold switch would delete it.
    const isCold = op.input.onVmStop === 'continue' && op.decision.chosen !== 'keep';
    if (done.end === 'vm stopped' && isCold) {
      return { end: 'go on cold', reason: done.reason };
    }
    await undoOnFailure(op, plan, async () => {
      if (done.end === 'vm stopped') throw vmStopped(op, done.reason);
      if (done.end === 'pool away') {
        await untilBack(op, { to: plan.to, jobId: op.jobId, until: 'reserved' }, done.reason);
      } else if (done.end === 'lost') {
        if (!done.lack) lost.push(done.reason);
        if (lost.length > MIRRORS) throw mirrorLost(op, lost);
        await renewTop(op, job, done);
        isNewTop = true;
      } else if (done.end === 'not ready') {
        if (done.isBehind) op.convergence.missed(done.reason);
        else refused.push(done.reason);
        if (refused.length > PIVOTS) throw mirrorLost(op, [...lost, done.reason]);
      }
    });
  }
}

/** 5': adds nothing to the history while it waits. */
async function untilReady(op: Move, job: ImageJob, isNewTop: boolean): Promise<Attempt> {
  const { plan, jobId } = job;
  const top = fileName(plan.volumes.at(-1)?.path ?? '');
  op.enter('mirroring', { note: op.convergence.note() });
  const { bandwidthBytesPerSecond } = op.status;
  const begun = await withPool(op, { to: plan.to, jobId, until: 'reserved' }, () =>
    op.host.ensureMirrorStarted(
      { ...job, isNewTop, bandwidthBytesPerSecond },
      `mirror ${top} into pool ${plan.to.pool}`,
    ),
  );
  if (begun.outcome === 'lost') return { end: 'lost', reason: begun.reason, lack: null };
  if (begun.outcome === 'busy') return { end: 'plan again', reason: begun.reason };
  if (begun.outcome === 'vm-stopped') return { end: 'vm stopped', reason: begun.reason };
  if (begun.outcome === 'finished') return { end: 'ready' };
  if (begun.outcome === 'kept') return { end: 'kept' };
  // One that is attached to has an earlier limit; one may have been set meanwhile.
  const isLimited = op.status.bandwidthBytesPerSecond === bandwidthBytesPerSecond;
  if (!isNewTop || !isLimited) await limitMirror(op, job);
  for (;;) {
    const words = `mirror ${top} until both hold the same`;
    const seen = await op.host.awaitMirrorReady(
      { ...job, until: 'ready', ...op.convergence.asked() },
      words,
    );
    if (seen.outcome !== 'not-converging') return attemptOf(seen);
    const note = await op.convergence.outrun(seen, () => limitMirror(op, job));
    op.enter('mirroring', { note });
  }
}

type Seen = Awaited<ReturnType<Transfer['host']['awaitMirrorReady']>>;

function attemptOf(seen: Exclude<Seen, { outcome: 'not-converging' }>): Attempt {
  if (seen.outcome === 'vm-stopped') return { end: 'vm stopped', reason: seen.reason };
  if (seen.outcome === 'lost') return { ...seen, end: 'lost' };
  if (seen.outcome === 'kept') return { end: 'kept' };
  if (seen.outcome === 'fits') return { end: 'ready', fits: true };
  // Switched already, by an earlier run or by another operation, or READY.
  return { end: 'ready' };
}

/** What was decided, or has become of the mirror while it waited for that. */
async function atReady(
  op: Move,
  job: ImageJob,
  { fits = false }: { fits?: boolean },
): Promise<Attempt> {
  const { plan } = job;
  const decided = await undoOnFailure(op, plan, () => decide(op, { job }, fits));
  if (decided.chosen === 'keep') return undoOnFailure(op, plan, () => keep(op, job));
  if (decided.chosen === null) {
    const { seen } = decided;
    if (seen === null) return { end: 'not ready', reason: op.asked.missed ?? '', isBehind: true };
    const attempt: Attempt = seen.outcome === 'not-converging' ? READY : attemptOf(seen);
    if (attempt.end !== 'ready') return attempt;
  }
  return pivot(op, job);
}

const READY: Attempt = { end: 'ready' };

async function keep(op: Move, job: ImageJob): Promise<Attempt> {
  const done = await keepCopy(op, job);
  switch (done.outcome) {
    case 'kept':
      return { end: 'kept' };
    case 'pivoted':
      return pivot(op, job);
    default:
      return attemptAgain(done, done.reason);
  }
}

/** Of a mirror that runs. */
export function limitMirror(op: Transfer, job: ImageJob): Promise<boolean> {
  const { bandwidthBytesPerSecond } = op.status;
  return op.host.ensureMirrorBandwidth({ ...job, bandwidthBytesPerSecond }, 'limit the mirror');
}

/** 6: the point of no return, unless QEMU did not pivot. */
async function pivot(op: Move, job: ImageJob): Promise<Attempt> {
  const { plan } = job;
  await undoOnFailure(op, plan, () => op.point.pass());
  op.enter('switching', { note: null });
  const summary = `pivot to pool ${plan.to.pool}: suspend, pivot, verify, resume`;
  const asked = { ...job, settleMs: op.convergence.maxPauseMs };
  const done = await forwardOnly(() =>
    op.host.ensureMirrorPivoted(asked, summary).catch((error: unknown) => keepBoth(op, error)),
  );
  if (done.outcome === 'pivoted') return { end: 'switched', stallMs: done.stallMs };
  const reason = `the pivot did not happen: ${done.reason}`;
  op.point.takeBack(reason);
  return attemptAgain(done, reason);
}

interface NotDone {
  outcome: 'not-ready' | 'lost' | 'pool-away' | 'changed' | 'vm-stopped';
  reason: string;
  isBehind?: true | undefined;
}

/** @param reason that is told where it is tried again */
function attemptAgain(done: NotDone, reason: string): Attempt {
  switch (done.outcome) {
    case 'not-ready':
      return { end: 'not ready', reason, isBehind: done.isBehind ?? false };
    case 'lost':
      return { end: 'lost', reason, lack: null };
    case 'pool-away':
      return { end: 'pool away', reason };
    case 'changed':
      return { end: 'plan again', reason };
    case 'vm-stopped':
      return { end: 'vm stopped', reason: done.reason };
  }
}

/** Ends the mirror, if there is one, and makes another file for the next one. */
async function renewTop(
  op: Transfer,
  job: ImageJob,
  { reason, lack }: { reason: string; lack: Lack | null },
): Promise<void> {
  op.enter('mirroring', { note: `${reason}; the VM runs on, and it is mirrored again` });
  await dropTop(op, job);
  const { plan } = job;
  const truth = 'the VM runs on with its source';
  if (lack) await untilSpace(op, { path: plan.to.folder, ...lack }, truth);
  await createTop(op, job);
  await nameCopies(op, job);
}

function vmStopped(op: Transfer, reason: string) {
  return retry('vm-stopped', {
    attempted: `moving ${op.id}`,
    now: `the VM stopped (${reason}), and QEMU's mirror with it; no flushed write is lost`,
    next: 'Repeat the request: it works with the VM down or running',
  });
}

function mirrorLost(op: Transfer, reasons: readonly string[]) {
  const said = [...new Set(reasons)].join('; ');
  return retry('job-lost', {
    attempted: `mirroring the active layer of ${op.id}`,
    now: `the mirror ended several times (${said})`,
    next: cureOf(said, storageOf(op.input.host)),
  });
}
