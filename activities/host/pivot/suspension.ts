/** What the scripts of a VM have reported of their last suspension, for all disks in it. */
import { basename, dirname, join } from 'node:path';
import { observeFile } from '../../adapters/files/files.ts';
import {
  readPivotReport,
  removePivotReport,
  type PivotReport,
} from '../../adapters/virsh/safe-pivot.ts';
import type { HostDeps } from '../deps.ts';
import type { DiskSwitch } from './disk-switch.ts';
import { lookAtDisk, pivotFile } from './look-at-disk.ts';

interface Suspension {
  /** Whether the guest stands still because of us: no report of a disk says otherwise. */
  isOurs: boolean;
  action: PivotReport['action'];
  /** All disks that were in it. */
  disks: string[];
  reports: ReadonlyMap<string, PivotReport>;
}

/** Null without a report. The script writes one for each disk, and may die in between. */
export async function lastSuspension(
  deps: HostDeps,
  changes: readonly DiskSwitch[],
): Promise<Suspension | null> {
  const [{ vmUuid }] = changes as [DiskSwitch];
  const read = (disk: string) => readPivotReport(pivotFile(deps, { vmUuid, disk }));
  const disks = new Set(changes.map(({ disk }) => disk));
  const reports = new Map<string, PivotReport>();
  // Those that a report names come after it.
  for (const disk of disks) {
    const report = await read(disk);
    if (!report) continue;
    reports.set(disk, report);
    for (const named of report.disks) disks.add(named);
  }
  const all = [...reports.values()];
  if (all.length === 0) return null;
  const isOurs = all.every(({ guest, resumed }) => guest === 'running' && !resumed);
  const action = all.some((report) => report.action === 'abort') ? 'abort' : 'pivot';
  return { isOurs, action, disks: [...disks], reports };
}

export async function removeReports(
  deps: HostDeps,
  vmUuid: string,
  disks: readonly string[],
): Promise<void> {
  for (const disk of disks) await removePivotReport(pivotFile(deps, { vmUuid, disk }));
}

/**
 * With the disks of the same suspension that are not named, as their reports and the XML tell: a
 * guest runs on only when all of them are right.
 */
export async function withOthers(
  deps: HostDeps,
  changes: readonly DiskSwitch[],
): Promise<DiskSwitch[]> {
  const [first] = changes as [DiskSwitch];
  const { reports = new Map<string, PivotReport>() } = (await lastSuspension(deps, changes)) ?? {};
  const others: DiskSwitch[] = [];
  for (const [disk, { copy, from }] of reports) {
    if (!copy || !from || changes.some((change) => change.disk === disk)) continue;
    others.push(await otherSwitch(deps, { ...first, disk }, { copy, from }));
  }
  return [...changes, ...others];
}

/** A mirror whose move knows more than this: the copies of all layers keep their names. */
async function otherSwitch(
  deps: HostDeps,
  other: DiskSwitch,
  { copy, from }: { copy: string; from: string },
): Promise<DiskSwitch> {
  const { disk } = await lookAtDisk(deps, other);
  const active = disk?.chain.find(({ path }) => path === copy);
  const identityOf = async (path: string) => (await observeFile(path))?.identity ?? '';
  return {
    ...other,
    job: 'copy',
    persistent: true,
    from: { path: from, identity: await identityOf(from) },
    to: { path: copy, identity: await identityOf(copy), format: active?.format ?? 'qcow2' },
    nameOf: (path) => join(dirname(copy), basename(path)),
  };
}
