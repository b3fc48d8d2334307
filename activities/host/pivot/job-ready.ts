/** The wait for a block job: by libvirt's events, with looks of ours beside them. */
import { Context } from '@temporalio/activity';
import type { JobEvent, JobSample } from '../../adapters/virsh/job-watch.ts';
import { beatWith } from '../../door/attempt.ts';
import { createMailbox, type Mailbox } from '../../door/mailbox.ts';
import { createProgress } from '../../door/progress.ts';
import type { HostDeps } from '../deps.ts';
import type { DiskSwitch } from './disk-switch.ts';
import { divergenceWords, restMs } from './divergence.ts';

interface Awaited {
  until: 'ready' | 'end';
  /** Whether the guest that outruns the job is an outcome, besides being shown. */
  tellConvergence: boolean;
  /** What is left of a job that the guest outruns is an outcome once it is copied so soon. */
  fitsMs?: number | undefined;
  /** The same of one that may be READY, and that the guest need not outrun; or nothing is left. */
  isBehind?: true | undefined;
  /** What heartbeats call it. */
  phase: string;
}

type Told =
  | { outcome: 'ready'; readyAtMs: number }
  | { outcome: 'not-converging'; note: string; writtenBytesPerSecond: number }
  | { outcome: 'fits' };

/** What libvirt says, and what a look of ours has found. */
type Heard<O> = JobEvent | { kind: 'looked'; outcome: O | null };

/**
 * Subscribes first, then reads, then waits for either: events are never replayed, and none comes
 * for a dead QEMU. Looks run beside the events, so that READY by event returns at once and the
 * activity beats while libvirtd is slow; every other answer is read from the chain.
 * @param look what the disk says; null while the job runs. It is given what was said of the job's
 * end, null while nothing was said.
 */
export async function untilReady<O>(
  deps: HostDeps,
  { vmUuid: uuid, vm, disk }: Pick<DiskSwitch, 'vm' | 'vmUuid' | 'disk'>,
  awaited: Awaited,
  look: (vanished: string | null) => Promise<O | null>,
): Promise<O | Told> {
  const context = Context.current();
  const heard = createMailbox<Heard<O>>();
  const unsubscribe = deps.watch.subscribe({ uuid, vm, disk }, heard.put);
  context.cancelled.catch(heard.fail);
  const looks = createLooks(look, heard);
  const progress = createProgress(awaited.phase);
  context.heartbeat();
  looks.ask(null);
  try {
    for await (const event of heard) {
      const outcome =
        event.kind === 'looked' ? event.outcome : decide(event, awaited, { looks, progress });
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
function createLooks<O>(
  look: (vanished: string | null) => Promise<O | null>,
  heard: Mailbox<Heard<O>>,
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
function decide(event: JobEvent, awaited: Awaited, waiting: Waiting): Told | null {
  const { looks } = waiting;
  switch (event.kind) {
    case 'silence':
      beatWith({ phase: 'waiting for libvirt', note: event.reason });
      return null;
    case 'lifecycle':
      if (/^(Stopped|Shutdown|Crashed)/.test(event.detail)) looks.ask(null);
      return null;
    case 'block-job':
      if (event.status !== 'ready') looks.ask(`libvirt reported the job ${event.status}`);
      else if (awaited.until === 'ready') return { outcome: 'ready', readyAtMs: Date.now() };
      return null;
    case 'sample':
      if (event.state === 'off') looks.ask(null);
      else if (!event.job) looks.ask('the job is gone, libvirt does not say why');
      else return decideByProgress(event.job, awaited, waiting);
      return null;
  }
}

function decideByProgress(
  job: JobSample,
  { until, tellConvergence, fitsMs = -1, isBehind }: Awaited,
  { looks, progress }: Waiting,
): Told | null {
  const now = progress.add({ atMs: Date.now(), ...job });
  const divergence = progress.divergence();
  // No limit holds at READY.
  const limit = isBehind ? 0 : job.bandwidthBytesPerSecond;
  const note = divergence && divergenceWords(divergence, limit);
  beatWith({ ...now, note });
  const pace = progress.pace();
  const fits = pace !== null && (restMs(pace) ?? Infinity) <= fitsMs;
  // libvirt reports copied == total only for a job in READY (qemu_driver.c), so this finds a
  // missed event.
  if (isBehind && (job.copiedBytes === job.totalBytes || fits)) return { outcome: 'fits' };
  if (until === 'ready' && job.copiedBytes === job.totalBytes) looks.ask(null);
  if (!divergence || !note) return null;
  if (fits) return { outcome: 'fits' };
  const { writtenBytesPerSecond } = divergence;
  return tellConvergence ? { outcome: 'not-converging', note, writtenBytesPerSecond } : null;
}
