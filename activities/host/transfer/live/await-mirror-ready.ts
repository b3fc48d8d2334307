/** Waits until the mirror holds what the active layer holds, and follows it. */
import type { InputOf, ResultOf } from '../../../../workflows/operation/activities.ts';
import type { ImageJob, transferOnHost } from '../../../../workflows/transfer/activities.ts';
import { observeFile, observeSpace } from '../../../adapters/files/files.ts';
import { awaitPivotScript } from '../../../adapters/virsh/safe-pivot.ts';
import type { HostDeps } from '../../deps.ts';
import { untilReady } from '../../pivot/job-ready.ts';
import type { DiskSwitch } from '../../pivot/disk-switch.ts';
import { hasSwitched, lookAtDisk, pivotFile } from '../../pivot/look-at-disk.ts';
import { inTurnUntilReady } from '../../pools/host-turns.ts';
import { isOurMirror } from '../../pivot/our-mirror.ts';
import { workOf } from '../copying-state.ts';
import { isKept, switchOf, topFile } from './look.ts';

type Input = InputOf<typeof transferOnHost, 'awaitMirrorReady'>;
type Outcome = ResultOf<typeof transferOnHost, 'awaitMirrorReady'>;

/** What is mirrored counts as a copy until it is READY. */
export async function awaitMirrorReady(deps: HostDeps, input: Input): Promise<Outcome> {
  if (input.until !== 'ready') return awaitMirror(deps, input);
  return inTurnUntilReady(deps.turns, workOf(deps, input), () => awaitMirror(deps, input));
}

async function awaitMirror(deps: HostDeps, input: Input): Promise<Outcome> {
  const change = await switchOf(input);
  const { tellConvergence, fitsMs, isBehind, until } = input;
  const awaited = { until, tellConvergence, fitsMs, isBehind, phase: 'mirroring' };
  const seen = await untilReady<Outcome>(deps, change, awaited, (vanished) =>
    lookOnce(deps, { job: input, change }, vanished),
  );
  return seen.outcome === 'ready' ? { outcome: 'ready' } : seen;
}

/** @param vanished what was said of the job's end, null while nothing was said. */
async function lookOnce(
  deps: HostDeps,
  { job, change }: { job: Input; change: DiskSwitch },
  vanished: string | null,
): Promise<Outcome | null> {
  const look = await lookAtDisk(deps, change);
  if (hasSwitched(look, change)) return { outcome: 'finished' };
  if (look.state === 'off') return { outcome: 'vm-stopped', reason: look.stateReason };
  const isOurs = await isOurMirror(change, look.disk);
  const { ready = false, ending = null } = look.disk?.mirror ?? {};
  if (isOurs && ready && job.until === 'ready' && !job.isBehind) return { outcome: 'ready' };
  if (isOurs && ending === null) return null;
  // Another operation may be ending the mirrors of several disks: its script says how at its end.
  await awaitPivotScript(pivotFile(deps, change));
  if (await isKept(deps, change, job)) return { outcome: 'kept' };
  const after = await lookAtDisk(deps, change);
  if (hasSwitched(after, change)) return { outcome: 'finished' };
  if (after.state === 'off') return { outcome: 'vm-stopped', reason: after.stateReason };
  // Its end will tell more than the job's absence does; the lifecycle event brings the next look.
  if (after.stateReason.startsWith('in shutdown')) return null;
  const reason = vanished ?? 'no mirror runs, and the chain is unchanged';
  return { outcome: 'lost', reason, lack: await lackOfSpace(job) };
}

/** QEMU's log alone says why a mirror failed: a target that cannot take the layer is why. */
async function lackOfSpace(job: ImageJob) {
  const { to, volumes, flatten } = job.plan;
  const mirrored = flatten ? volumes : volumes.slice(-1);
  const sources = await Promise.all(mirrored.map(({ path }) => observeFile(path)));
  const [copy, space] = await Promise.all([
    observeFile(topFile(job, 'ready')).catch(() => null),
    observeSpace(to.folder).catch(() => null),
  ]);
  if (!space) return null;
  const allocatedBytes = sources.reduce((sum, file) => sum + (file?.allocatedBytes ?? 0), 0);
  const neededBytes = allocatedBytes + Math.ceil(allocatedBytes / 64) + SPARE_BYTES;
  // What the failed mirror has written is deleted.
  const freeBytes = space.freeBytes + (copy?.allocatedBytes ?? 0);
  return freeBytes < neededBytes ? { neededBytes, freeBytes } : null;
}

/** For metadata, and what the guest writes meanwhile. */
const SPARE_BYTES = 4 * 2 ** 20;
