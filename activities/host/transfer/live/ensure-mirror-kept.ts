/** The end of a mirror at READY without a pivot: its file stays as a copy of that moment. */
import type { ResultOf } from '../../../../workflows/operation/activities.ts';
import type { ImageJob, transferOnHost } from '../../../../workflows/transfer/activities.ts';
import { syncPath } from '../../../adapters/files/files.ts';
import { noteKept } from '../../../adapters/virsh/safe-pivot.ts';
import type { HostDeps } from '../../deps.ts';
import { vmOf, type DiskSwitch } from '../../pivot/disk-switch.ts';
import { lookAndGiveBack } from '../../pivot/give-back-guest.ts';
import { hasSwitched, pivotFile } from '../../pivot/look-at-disk.ts';
import { isOurMirror } from '../../pivot/our-mirror.ts';
import { missingCopies } from './copies-in-place.ts';
import { endMirror } from './ensure-mirror-ended.ts';
import { isKept, isOpenForMirror, switchOf } from './look.ts';

type Outcome = ResultOf<typeof transferOnHost, 'ensureMirrorKept'>;

/**
 * A mirror that is gone tells not whether it was complete: the event of its end does, and then the
 * report says so. Without either it is lost, and another one is made.
 */
export async function ensureMirrorKept(deps: HostDeps, job: ImageJob): Promise<Outcome> {
  const change = await switchOf(job);
  const look = await lookAndGiveBack(deps, change);
  if (await isKept(deps, change, job)) return kept(change);
  if (hasSwitched(look, change)) return { outcome: 'switched' };
  if (look.state === 'off') return { outcome: 'vm-stopped', reason: look.stateReason };
  if (look.isReloaded || !(await isOurMirror(change, look.disk))) {
    return { outcome: 'lost', reason: 'no mirror runs (any more)' };
  }
  if (look.disk?.mirror?.ready !== true) {
    return { outcome: 'not-ready', reason: 'the mirror is not READY (any more)' };
  }
  if (!(await isOpenForMirror(change))) {
    return { outcome: 'lost', reason: `QEMU does not write ${change.to.path}` };
  }
  const missing = await missingCopies(deps, job);
  if (missing) return missing;
  const heard = hearEnd(deps, change);
  try {
    if ((await endMirror(deps, change)) === 'switched') return { outcome: 'switched' };
    const end = await heard.end();
    if (end !== 'canceled') return { outcome: 'lost', reason: `libvirt reported ${end}` };
  } finally {
    heard.stop();
  }
  await noteKept(pivotFile(deps, change), job.jobId);
  return kept(change);
}

/** QEMU has flushed it, unless the cache of the disk forbids that. */
async function kept({ to }: DiskSwitch): Promise<Outcome> {
  await syncPath(to.path);
  return { outcome: 'kept' };
}

/** How long the event of an end may take that libvirt has answered for. */
const EVENT_MS = 5000;

/** Listens from now on, as no event is repeated. */
function hearEnd(deps: HostDeps, change: DiskSwitch) {
  const heard = Promise.withResolvers<string>();
  const { name: vm, uuid } = vmOf(change);
  const stop = deps.watch.subscribe({ uuid, vm, disk: change.disk }, (event) => {
    if (event.kind === 'block-job' && event.status !== 'ready') heard.resolve(event.status);
  });
  return {
    stop,
    async end(): Promise<string> {
      const late = setTimeout(heard.resolve, EVENT_MS, 'no end of the mirror');
      return heard.promise.finally(() => clearTimeout(late));
    },
  };
}
