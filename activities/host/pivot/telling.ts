/** What people see of a guest that stays suspended longer than a pivot takes. */
import { awaitPivotScript, readPivotReport } from '../../adapters/virsh/safe-pivot.ts';
import { beatWith } from '../../door/attempt.ts';
import type { HostDeps } from '../deps.ts';
import type { DiskSwitch } from './disk-switch.ts';
import { pivotFile } from './look-at-disk.ts';
import { shell } from '../../../workflows/operation/names.ts';

const LOOK_EVERY_MS = 1000;
/** From then on it is told. */
const USUAL_MS = 3000;

type Suspended = Pick<DiskSwitch, 'vm' | 'vmUuid' | 'disk'>;

/** Waits for what lets the guest run on, and tells why it does not yet. */
export async function whileTelling<T>(
  deps: HostDeps,
  suspended: Suspended,
  work: Promise<T>,
): Promise<T> {
  const sinceMs = Date.now();
  let isOver = false;
  const tell = async () => {
    const waitedMs = Date.now() - sinceMs;
    const report = waitedMs < USUAL_MS ? null : await readPivotReport(pivotFile(deps, suspended));
    if (isOver || report?.guest !== 'running' || report.resumed) return;
    const note = noteOf(suspended.vm, waitedMs, report.refused);
    beatWith({ phase: 'waiting', note });
  };
  const timer = setInterval(() => void tell(), LOOK_EVERY_MS);
  try {
    return await work;
  } finally {
    isOver = true;
    clearInterval(timer);
  }
}

/** A script that an earlier life of the agent has started. */
export const awaitScriptOf = (deps: HostDeps, suspended: Suspended): Promise<void> =>
  whileTelling(deps, suspended, awaitPivotScript(pivotFile(deps, suspended)));

function noteOf(vm: string, waitedMs: number, refused: string | null): string {
  const now = `the guest of ${vm} has been suspended for ${Math.round(waitedMs / 1000)} s`;
  return refused === null
    ? `${now}: libvirt has not answered yet, a storage may be unavailable`
    : `${now}: libvirt does not resume it (${refused}); fix that, it is tried again, as ` +
        `${shell`virsh resume ${vm}`} does`;
}
