/**
 * Waits until the job has done its part: READY for the active layer, gone with success for an inner
 * one.
 */
import type { InputOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost, ReadyOutcome } from '../../../workflows/merge/activities.ts';
import { Context } from '@temporalio/activity';
import { sizeWords } from '../../../workflows/operation/words.ts';
import type { JobEvent, JobSample } from '../../adapters/virsh/job-watch.ts';
import { createMailbox, type Mailbox } from '../../door/mailbox.ts';
import { createProgress } from '../../door/progress.ts';
import type { HostDeps } from '../deps.ts';
import { isCommitOf, isReady, lookAtDisk, topHasLeft } from './observe-disk.ts';

type Input = InputOf<typeof mergeOnHost, 'awaitCommitReady'>;

/** What libvirt says, and what a look of ours has found. */
type Heard = JobEvent | { kind: 'looked'; outcome: ReadyOutcome | null };

/**
 * Subscribes first, then reads, then waits for either: events are never replayed, and none comes
 * for a dead QEMU. Looks run beside the events, so that READY by event returns at once and the
 * activity beats while libvirtd is slow; every other answer is read from the chain.
 */
export async function awaitCommitReady(deps: HostDeps, input: Input): Promise<ReadyOutcome> {
  const { vmUuid: uuid, vm, disk } = input.plan;
  const context = Context.current();
  const heard = createMailbox<Heard>();
  const unsubscribe = deps.watch.subscribe({ uuid, vm, disk }, heard.put);
  context.cancelled.catch(heard.fail);
  const looks = createLooks((vanished) => lookOnce(deps, input, vanished), heard);
  const progress = createProgress('copying');
  context.heartbeat();
  looks.ask(null);
  try {
    for await (const event of heard) {
      const outcome =
        event.kind === 'looked' ? event.outcome : decide(event, input, { looks, progress });
      if (outcome) return outcome;
    }
    throw new Error('the events of a job have no end');
  } finally {
    looks.end();
    unsubscribe();
  }
}

interface Looks {
  /** @param vanished what was said of the job's end, null while nothing was said */
  ask(vanished: string | null): void;
  end(): void;
}

/** One look at a time; one that is asked for during a look comes after it. */
function createLooks(
  look: (vanished: string | null) => Promise<ReadyOutcome | null>,
  heard: Mailbox<Heard>,
): Looks {
  let last = Promise.resolve();
  let isOver = false;
  const next = async (vanished: string | null) => {
    if (!isOver) heard.put({ kind: 'looked', outcome: await look(vanished) });
  };
  return {
    ask: (vanished) => void (last = last.then(() => next(vanished)).catch(heard.fail)),
    end: () => void (isOver = true),
  };
}

interface Waiting {
  looks: Looks;
  progress: ReturnType<typeof createProgress>;
}

/** What an event means: the outcome, or one more look, or nothing yet. */
function decide(event: JobEvent, { until, tellConvergence }: Input, waiting: Waiting) {
  const { looks } = waiting;
  switch (event.kind) {
    case 'silence':
      Context.current().heartbeat({ phase: 'waiting for libvirtd', note: event.reason });
      return null;
    case 'lifecycle':
      if (/^(Stopped|Shutdown|Crashed)/.test(event.detail)) looks.ask(null);
      return null;
    case 'block-job':
      if (event.status !== 'ready') looks.ask(`libvirt reported the job ${event.status}`);
      else if (until === 'ready') return { outcome: 'ready', readyAtMs: Date.now() } as const;
      return null;
    case 'sample':
      if (event.state === 'off') looks.ask(null);
      else if (!event.job) looks.ask('the job is gone, libvirt does not say why');
      else return decideByProgress(event.job, { until, tellConvergence }, waiting);
      return null;
  }
}

function decideByProgress(
  job: JobSample,
  { until, tellConvergence }: Pick<Input, 'until' | 'tellConvergence'>,
  { looks, progress }: Waiting,
): ReadyOutcome | null {
  const now = progress.add({ atMs: Date.now(), ...job });
  const note = progress.diverges() ? `not converging: ${divergence(job)}` : null;
  Context.current().heartbeat({ ...now, note });
  // libvirt reports copied == total only for a job in READY (qemu_driver.c), so this finds a
  // missed event.
  if (until === 'ready' && job.copiedBytes === job.totalBytes) looks.ask(null);
  return note && tellConvergence ? { outcome: 'not-converging', note } : null;
}

const divergence = (job: JobSample) =>
  job.bandwidthBytesPerSecond > 0
    ? `the guest writes faster than the limit allows (${sizeWords(job.bandwidthBytesPerSecond)}/s)`
    : 'the guest writes faster than the job can copy';

/** @param vanished what was said of the job's end, null while nothing was said. */
async function lookOnce(
  deps: HostDeps,
  { plan, until }: Input,
  vanished: string | null,
): Promise<ReadyOutcome | null> {
  const look = await lookAtDisk(deps, plan);
  if (topHasLeft(look, plan)) return { outcome: 'finished' };
  if (look.state === 'off') return { outcome: 'vm-stopped', reason: look.stateReason };
  if (until === 'ready' && (await isReady(look, plan)))
    return { outcome: 'ready', readyAtMs: Date.now() };
  const job = await deps.libvirt.blockJob(plan.vmUuid, plan.disk);
  if (job && (await isCommitOf(plan, look, job))) return null;
  // The job may have ended between the two readings: only a chain read after its end counts.
  const after = await lookAtDisk(deps, plan);
  if (topHasLeft(after, plan)) return { outcome: 'finished' };
  if (after.state === 'off') return { outcome: 'vm-stopped', reason: after.stateReason };
  // Its end will tell more than the job's absence does; the lifecycle event brings the next look.
  if (after.stateReason.startsWith('in shutdown')) return null;
  const unsaid = `${job ? 'another job runs' : 'no job runs'}, and the chain is unchanged`;
  return { outcome: 'gone', reason: vanished ?? unsaid };
}
