/**
 * Waits until the job has done its part: READY for the active layer, gone with success for an inner
 * one.
 */
import type { InputOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost, ReadyOutcome } from '../../../workflows/merge/activities.ts';
import type { HostDeps } from '../deps.ts';
import { inTurnUntilReady, mergeWork } from '../pools/host-turns.ts';
import { untilReady } from '../pivot/job-ready.ts';
import { hasSwitched, lookAtDisk } from '../pivot/look-at-disk.ts';
import { isCommitOf, isReady, switchOf } from './observe-disk.ts';

type Input = InputOf<typeof mergeOnHost, 'awaitCommitReady'>;

/** The merge has its turn until the job is READY. */
export async function awaitCommitReady(deps: HostDeps, input: Input): Promise<ReadyOutcome> {
  if (input.until !== 'ready') return awaitCommit(deps, input);
  return inTurnUntilReady(deps.turns, mergeWork(deps, input.jobId), () => awaitCommit(deps, input));
}

function awaitCommit(deps: HostDeps, input: Input): Promise<ReadyOutcome> {
  const { plan, until, tellConvergence, fitsMs, isBehind } = input;
  const awaited = { until, tellConvergence, fitsMs, isBehind, phase: 'copying' };
  return untilReady(deps, plan, awaited, (vanished) => lookOnce(deps, input, vanished));
}

/** @param vanished what was said of the job's end, null while nothing was said. */
async function lookOnce(
  deps: HostDeps,
  { plan, until, isBehind }: Input,
  vanished: string | null,
): Promise<ReadyOutcome | null> {
  const change = switchOf(plan);
  const look = await lookAtDisk(deps, change);
  if (hasSwitched(look, change)) return { outcome: 'finished' };
  if (look.state === 'off') return { outcome: 'vm-stopped', reason: look.stateReason };
  if (until === 'ready' && !isBehind && (await isReady(look, plan)))
    return { outcome: 'ready', readyAtMs: Date.now() };
  const job = await deps.libvirt.blockJob(plan.vmUuid, plan.disk);
  if (job && (await isCommitOf(plan, look, job))) return null;
  // The job may have ended between the two readings: only a chain read after its end counts.
  const after = await lookAtDisk(deps, change);
  if (hasSwitched(after, change)) return { outcome: 'finished' };
  if (after.state === 'off') return { outcome: 'vm-stopped', reason: after.stateReason };
  // Its end will tell more than the job's absence does; the lifecycle event brings the next look.
  if (after.stateReason.startsWith('in shutdown')) return null;
  const unsaid = `${job ? 'another job runs' : 'no job runs'}, and the chain is unchanged`;
  return { outcome: 'gone', reason: vanished ?? unsaid };
}
