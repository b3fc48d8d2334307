/**
 * A guest that stands still is saved with its memory and started again: another QEMU opens the
 * chain that libvirt shows.
 */
import { operationId } from '../../../workflows/chain/references.ts';
import { hold } from '../../../workflows/operation/failures.ts';
import { findQemu } from '../../adapters/files/open-files.ts';
import type { XmlDisk } from '../../adapters/libvirt-xml/domain-xml.ts';
import {
  noteReload,
  reloadGuest,
  removePivotReport,
  suspensionState,
  type GuestAfter,
} from '../../adapters/virsh/safe-pivot.ts';
import { beatWith } from '../../door/attempt.ts';
import type { HostDeps } from '../deps.ts';
import { abortQuietly } from './abort-quietly.ts';
import type { DiskSwitch } from './disk-switch.ts';
import { isEnding, lookAtDisk, pivotFile } from './look-at-disk.ts';
import { endOwnJobs } from './own-jobs.ts';
import { isOurMirror } from './our-mirror.ts';
import { shell } from '../../../workflows/operation/names.ts';

/** A disk, and those that switch within the same suspension. */
export interface Together {
  change: DiskSwitch;
  others: readonly DiskSwitch[];
}

interface Reload extends Together {
  after: GuestAfter;
  code: 'limbo' | 'lock-manager';
  /** Of the VM, for messages. */
  why: string;
  before?: () => Promise<void>;
  /** Whether the disk shows that it was not reloaded. */
  isStuck?: (disk: XmlDisk | null) => Promise<boolean>;
}

const TRIES = 5;

/** @throws Hold of that code where libvirt refuses */
export async function reloadVm(deps: HostDeps, reload: Reload): Promise<void> {
  const { change, others, after, code, why, before, isStuck } = reload;
  const { vmUuid: uuid, vm, from, to } = change;
  // libvirt saves no guest that has a job. They are made again.
  for (const other of others) await endMirror(deps, other);
  beatWith({ phase: 'waiting', note: `saving and starting VM ${vm}, ${why}` });
  const saveAndStart = () =>
    deps.effect('libvirt.reload-guest', operationId(change), async () => {
      await before?.();
      await noteReload(pivotFile(deps, change), after, await findQemu(uuid));
      return reloadGuest(deps.libvirt.uri, suspensionState(deps.runtimeDir, uuid), { uuid, after });
    });
  let said = '';
  for (let tries = 0; tries < TRIES; tries++) {
    const ended = await endOwnJobs(deps, change);
    if (tries > 0 && ended === 0) break;
    said = await saveAndStart();
    // The operation of another disk has begun its job again in between.
    if (!said.includes('block job')) break;
  }
  const { state, managedSave, disk } = await lookAtDisk(deps, change);
  const isSaved = state === 'off' && managedSave;
  const stillStands = code === 'lock-manager' && state === 'paused' && after === 'running';
  // From now on it is the user who paused a guest that is paused.
  if (!isSaved && !stillStands && !(await isStuck?.(disk))) {
    const all = [change, ...others].map((one) => pivotFile(deps, one));
    for (const file of all) await removePivotReport(file);
    return;
  }
  throw hold(code, {
    attempted: `saving and starting VM ${vm}, ${why}`,
    now:
      `libvirt said: ${said}; the guest is ${isSaved ? 'saved' : 'suspended'}, ` +
      `${from.path} and ${to.path} hold the same data`,
    next:
      'Fix what libvirt names (end jobs of other disks, make room for the memory), then ' +
      (isSaved ? '' : `${shell`virsh managedsave ${vm} --${after}`}, `) +
      `${shell`virsh start ${vm}`}, and repeat the request`,
  });
}

async function endMirror(deps: HostDeps, other: DiskSwitch): Promise<void> {
  const { disk, state } = await lookAtDisk(deps, other);
  if (state === 'off' || isEnding(disk) || !(await isOurMirror(other, disk))) return;
  await deps.effect('libvirt.abort-job', operationId(other), () => abortQuietly(deps, other));
}
