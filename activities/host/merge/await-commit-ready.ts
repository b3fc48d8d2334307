/**
 * Waits until the job has done its part: READY for the active layer, gone with success for an inner
 * one.
 */
import type { InputOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost, ReadyOutcome } from '../../../workflows/merge/activities.ts';
import { Context } from '@temporalio/activity';
import { sizeWords } from '../../../workflows/operation/words.ts';
import type { JobEvent, JobSample } from '../../adapters/virsh/job-watch.ts';
import { createProgress } from '../../door/progress.ts';
import type { HostDeps } from '../deps.ts';
import { isCommitOf, isReady, lookAtDisk, topHasLeft } from '../chain/observe-disk.ts';

type Input = InputOf<typeof mergeOnHost, 'awaitCommitReady'>;

/**
 * Subscribes first, then reads, then waits for either: events are never replayed, and none comes
 * for a dead QEMU.
 * READY by event returns at once; every other answer is read from the chain.
 */
export function awaitCommitReady(deps: HostDeps, input: Input): Promise<ReadyOutcome> {
  const { plan, until, tellConvergence } = input;
  const context = Context.current();
  const progress = createProgress('copying');
  return new Promise<ReadyOutcome>((resolve, reject) => {
    let looking: Promise<void> | null = null;
    let ended = false;
    const finish = (settle: () => void) => {
      if (ended) return;
      ended = true;
      unsubscribe();
      settle();
    };
    const done = (outcome: ReadyOutcome) => finish(() => resolve(outcome));
    /** One look at a time; a trigger that comes during a look asks for one more after it. */
    const look = (vanished: string | null) => {
      const next = async () => {
        const outcome = ended ? null : await lookOnce(deps, input, vanished);
        if (outcome) done(outcome);
      };
      const previous: Promise<void> = looking ?? Promise.resolve();
      looking = previous.then(next).catch((error: unknown) => finish(() => reject(toError(error))));
    };
    const onEvent = (event: JobEvent) => {
      if (event.kind === 'sample') {
        onSample(event);
      } else if (event.kind === 'silence') {
        context.heartbeat({ phase: 'waiting for libvirtd', note: event.reason });
      } else if (event.kind === 'lifecycle') {
        if (/^(Stopped|Shutdown|Crashed)/.test(event.detail)) look(null);
      } else if (event.status === 'ready') {
        if (until === 'ready') done({ outcome: 'ready', readyAtMs: Date.now() });
      } else {
        look(`libvirt reported the job ${event.status}`);
      }
    };
    const onSample = ({ state, job }: { state: string; job: JobSample | null }) => {
      if (state === 'off') return look(null);
      if (!job) return look('the job is gone, libvirt does not say why');
      const now = progress.add({ atMs: Date.now(), ...job });
      const diverges = progress.diverges();
      const note = diverges ? `not converging: ${divergence(job)}` : null;
      context.heartbeat({ ...now, note });
      // libvirt reports copied == total only for a job in READY (qemu_driver.c), so this finds a
      // missed event.
      if (until === 'ready' && job.copiedBytes === job.totalBytes) look(null);
      if (note && tellConvergence) done({ outcome: 'not-converging', note });
    };
    const unsubscribe = deps.watch.subscribe(
      { uuid: plan.vmUuid, vm: plan.vm, disk: plan.disk },
      onEvent,
    );
    context.cancelled.catch((reason: unknown) => finish(() => reject(toError(reason))));
    context.heartbeat();
    look(null);
  });
}

const toError = (e: unknown) => (e instanceof Error ? e : new Error(String(e)));

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
