/** Start-or-attach of the commit job, announced first. */
import type { InputOf, ResultOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost } from '../../../workflows/merge/activities.ts';
import { activityInfo } from '@temporalio/activity';
import { operationId } from '../../../workflows/chain/references.ts';
import { retry } from '../../../workflows/operation/failures.ts';
import { CommandError, saidIn } from '../../adapters/process/command.ts';
import { type XmlDisk } from '../../adapters/libvirt-xml/domain-xml.ts';
import type { Show } from '../../door/attempt.ts';
import type { HostDeps } from '../deps.ts';
import { lookAndGiveBack } from '../pivot/give-back-guest.ts';
import { assertActive } from '../pivot/holds.ts';
import { assertUnleased } from '../pivot/lock-manager.ts';
import { hasSwitched, lookAtDisk } from '../pivot/look-at-disk.ts';
import { mergeWork, OLD_PLAN } from '../pools/host-turns.ts';
import { recordJob } from './job-record.ts';
import { isCommitOf, isReady, switchOf } from './observe-disk.ts';

type StartInput = InputOf<typeof mergeOnHost, 'ensureCommitStarted'>;
type Started = ResultOf<typeof mergeOnHost, 'ensureCommitStarted'>;

/** Waits for its turn, which it has until the job is READY. A plan that has waited is too old. */
export async function ensureCommitStarted(
  deps: HostDeps,
  input: StartInput,
  show: Show,
): Promise<Started> {
  const { startedAtMs = 0, plan } = input;
  const work = mergeWork(deps, input.jobId);
  const isBegun = async () =>
    (await deps.libvirt.blockJob(plan.vmUuid, plan.disk).catch(() => null)) !== null;
  const hasWaited = await deps.turns.take(work, { startedAtMs, show, isBegun });
  let keepsTurn = false;
  try {
    const started = await startOrAttach(deps, input, hasWaited || hadWaited());
    const isOpen = started.outcome === 'started' && started.readyAtMs === null;
    keepsTurn = isOpen || started.reason === OLD_PLAN;
    return started;
  } finally {
    if (!keepsTurn) deps.turns.giveBack(work.id);
  }
}

const OLD_AFTER_MS = 60_000;

/** Whether the attempts before this one took long: their agent may have died while they waited. */
function hadWaited(): boolean {
  const { scheduledTimestampMs, currentAttemptScheduledTimestampMs } = activityInfo();
  return currentAttemptScheduledTimestampMs - scheduledTimestampMs > OLD_AFTER_MS;
}

/**
 * Records first whose job it is. A job of ours that already runs is attached to; a chain that
 * already lacks top needs none. A foreign job that began after the plan is for the next
 * plan to find.
 */
async function startOrAttach(deps: HostDeps, input: StartInput, isOld: boolean): Promise<Started> {
  const { plan } = input;
  const change = switchOf(plan);
  const look = await lookAndGiveBack(deps, change);
  if (look.isReloaded) {
    return { outcome: 'busy', reason: 'the VM was saved and started again after a pivot' };
  }
  await recordJob(deps, input, look);
  if (hasSwitched(look, change)) return { outcome: 'finished', reason: 'top has left the chain' };
  if (look.state === 'off') return { outcome: 'vm-stopped', reason: look.stateReason };
  const running = await deps.libvirt.blockJob(plan.vmUuid, plan.disk);
  if (running && !(await isCommitOf(plan, look, running))) {
    return { outcome: 'busy', reason: `another job began on the disk: ${running.type}` };
  }
  if (running) {
    const readyAtMs = (await isReady(await lookAtDisk(deps, change), plan)) ? Date.now() : null;
    return { outcome: 'started', reason: 'attached to the job that runs', readyAtMs };
  }
  if (isOld) return { outcome: 'busy', reason: OLD_PLAN };
  return start(deps, input, commitArguments(input, look.disk as XmlDisk));
}

/** A small merge is READY within this time: waiting for it here saves a step of the workflow. */
const SOON_MS = 50;

/** Listens first, as no event is repeated, and takes READY by the event alone. */
async function start(deps: HostDeps, input: StartInput, args: string[]) {
  const { vmUuid: uuid, vm, disk, mode } = input.plan;
  const ready = Promise.withResolvers<number | null>();
  const unsubscribe = deps.watch.subscribe({ uuid, vm, disk }, (event) => {
    if (event.kind === 'block-job' && event.status === 'ready') ready.resolve(Date.now());
  });
  try {
    await deps.effect('libvirt.start-commit', operationId(input.plan), () =>
      deps.libvirt.startCommit(uuid, disk, args),
    );
    const late = setTimeout(ready.resolve, SOON_MS, null);
    const readyAtMs = mode === 'active' ? await ready.promise : null;
    clearTimeout(late);
    return { outcome: 'started' as const, reason: 'started', readyAtMs };
  } catch (error) {
    return startFailed(input, error);
  } finally {
    unsubscribe();
  }
}

function commitArguments(input: StartInput, disk: XmlDisk): string[] {
  const { plan, bandwidthBytesPerSecond, keepRelative } = input;
  // By index in the running chain: a path could already name another file, and would need escaping
  // rules.
  const name = (path: string) => {
    const index = disk.chain.find((volume) => volume.path === path)?.index;
    return index === null || index === undefined ? path : `${plan.disk}[${index}]`;
  };
  return [
    '--base',
    name(plan.base.path),
    ...(plan.overlay ? ['--top', name(plan.top.path)] : ['--active']),
    ...(keepRelative ? ['--keep-relative'] : []),
    ...(bandwidthBytesPerSecond > 0
      ? ['--bytes', '--bandwidth', String(bandwidthBytesPerSecond)]
      : []),
  ];
}

/**
 * Attempts before libvirt's words become the result: some of its refusals pass by themselves (E12,
 * E18).
 */
const PATIENCE = 6;

function startFailed(input: StartInput, error: unknown): { outcome: 'failed'; reason: string } {
  if (!(error instanceof CommandError)) throw error;
  const reason = saidIn(error.stderr);
  const { top, base, vm } = input.plan;
  const attempted = `starting the commit of ${top.path} into ${base.path}`;
  assertActive(attempted, vm, reason);
  assertUnleased(attempted, vm, reason);
  if (activityInfo().attempt >= PATIENCE) return { outcome: 'failed', reason };
  throw retry(
    'command-failed',
    {
      attempted,
      now: `libvirt said: ${reason}; no job of ours runs`,
      next: 'blockflow looks again and tries again; fix the error that libvirt reports, or cancel',
    },
    error,
  );
}
