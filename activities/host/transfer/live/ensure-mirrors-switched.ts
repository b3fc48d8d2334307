/**
 * The mirrors of several disks of a VM that runs end within one suspension of the guest: QEMU
 * switches to all copies, or leaves them as copies of one moment.
 */
import type { InputOf, ResultOf } from '../../../../workflows/operation/activities.ts';
import { operationId } from '../../../../workflows/chain/references.ts';
import type { ImageJob, transferOnHost } from '../../../../workflows/transfer/activities.ts';
import { domainFolder } from '../../../adapters/virsh/libvirt-folders.ts';
import {
  readPivotReport,
  refusalWords,
  type PivotReport,
  type PivotRequest,
} from '../../../adapters/virsh/safe-pivot.ts';
import type { HostDeps } from '../../deps.ts';
import { vmOf, type DiskSwitch } from '../../pivot/disk-switch.ts';
import { lookAndGiveBackAll } from '../../pivot/give-back-guest.ts';
import { hasSwitched, pivotFile, type DiskLook } from '../../pivot/look-at-disk.ts';
import { isOurMirror } from '../../pivot/our-mirror.ts';
import { budgetMs, noteStall } from '../../pivot/stalls.ts';
import { switchRecord } from '../../pivot/switch-record.ts';
import { whileTelling } from '../../pivot/telling.ts';
import { takenSnapshots, whereRecordIs } from '../copies.ts';
import { missingCopies } from './copies-in-place.ts';
import { endMirror } from './ensure-mirror-ended.ts';
import { assertFlushed, isOpenForMirror, otherSource, switchOf } from './look.ts';

type Input = InputOf<typeof transferOnHost, 'ensureMirrorsSwitched'>;
type Outcome = ResultOf<typeof transferOnHost, 'ensureMirrorsSwitched'>;
type Done = Outcome['disks'][number]['done'];

/** Only copies of one moment are kept: while one disk is not READY, no mirror is ended. */
export async function ensureMirrorsSwitched(deps: HostDeps, input: Input): Promise<Outcome> {
  const { jobs, action, settleMs = null } = input;
  const ended = await endMirrors(deps, jobs, { action, settleMs });
  // Each report has that of its suspension.
  const stalls = ended.flatMap((one) => ('stallMs' in one && one.stallMs ? [one.stallMs] : []));
  return {
    stallMs: stalls[0] ?? null,
    disks: ended.map((done, at) => ({ disk: jobs[at]?.plan.vm?.disk ?? '', done })),
  };
}

/** How mirrors end. */
interface End {
  action: PivotRequest['action'];
  /** Longest suspension; null for one of mirrors that are READY, of which none was said. */
  settleMs: number | null;
}

interface Mirror {
  job: ImageJob;
  change: DiskSwitch;
  look: DiskLook & { isReloaded: boolean };
  report: PivotReport | null;
}

/**
 * Makes each copy the active layer, or leaves it as it is at that moment. Only the chain says
 * whether a disk has switched. An earlier attempt's script that still runs is waited for.
 */
export async function endMirrors(
  deps: HostDeps,
  jobs: readonly ImageJob[],
  end: End,
): Promise<Done[]> {
  const { action } = end;
  const mirrors = await lookAtAll(deps, jobs);
  const early = new Map<ImageJob, Done>();
  for (const mirror of mirrors) {
    const outcome =
      (await outcomeOf(deps, mirror, action)) ?? (await obstacleOf(deps, mirror, end));
    if (outcome) early.set(mirror.job, outcome);
  }
  const due = mirrors.filter(({ job }) => !early.has(job));
  const isWhole = due.length === mirrors.length;
  if (due.length === 0 || (action === 'abort' && !isWhole)) {
    const reason = 'another disk of the VM is not READY (any more)';
    return jobs.map((job) => early.get(job) ?? { outcome: 'not-ready', reason });
  }
  const reports = await suspend(deps, due, end);
  const after = await lookAtAll(
    deps,
    due.map(({ job }) => job),
  );
  for (const [at, mirror] of after.entries()) {
    const reason = refusalWords(reports[at]);
    // Ended here, so that its move sees that and makes another one, also while it waits.
    if (NEVER.test(reason)) await endMirror(deps, mirror.change);
    const isHopeless = mirror.look.isReloaded || NEVER.test(reason);
    const again: Done = isHopeless
      ? { outcome: 'lost', reason }
      : { outcome: 'not-ready', reason, ...(reports[at]?.isBehind && { isBehind: true }) };
    // The move of a disk that sees its end first has removed the file of the report.
    const told = { ...mirror, report: reports[at] ?? mirror.report };
    early.set(mirror.job, (await outcomeOf(deps, told, action)) ?? again);
  }
  return jobs.map((job) => early.get(job) as Done);
}

async function lookAtAll(deps: HostDeps, jobs: readonly ImageJob[]): Promise<Mirror[]> {
  const changes = await Promise.all(jobs.map(switchOf));
  const looks = await lookAndGiveBackAll(deps, changes);
  const reports = await Promise.all(
    changes.map((change) => readPivotReport(pivotFile(deps, change))),
  );
  return jobs.map((job, at) => ({
    job,
    change: changes[at] as DiskSwitch,
    look: looks[at] as Mirror['look'],
    report: reports[at] ?? null,
  }));
}

async function suspend(
  deps: HostDeps,
  due: readonly Mirror[],
  { action, settleMs }: End,
): Promise<(PivotReport | null)[]> {
  const [{ change }] = due as [Mirror];
  const name = action === 'pivot' ? 'libvirt.pivot' : 'libvirt.abort-job';
  const budget = await budgetMs(deps.stateDir, { settleMs, disks: due.length });
  const reports = await deps.effect(name, operationId(change), async () =>
    whileTelling(
      deps,
      change,
      deps.pivots.run({
        uuid: change.vmUuid,
        action,
        persistent: true,
        folder: await domainFolder(vmOf(change)),
        budgetMs: budget,
        disks: due.map(({ job, change: { disk, to, job: kind }, look }) => ({
          disk,
          job: kind,
          // As libvirt spells it.
          to: look.disk?.mirror?.path ?? to.path,
          record: null,
          kept: job.jobId,
          resultFile: pivotFile(deps, { vmUuid: change.vmUuid, disk }),
        })),
      }),
    ),
  );
  const { stallMs = null, waitedMs = 0 } = reports[0] ?? {};
  const haveAll = reports.every((report) => report?.pivot === 'done');
  if (stallMs && haveAll) await noteStall(deps.stateDir, (stallMs - waitedMs) / due.length);
  return reports;
}

/**
 * libvirtd died while it attached the lower layers of the copy: QEMU has their nodes, of which it
 * knows nothing, and every pivot of this job fails (docs/lab/libvirt.md).
 */
const NEVER = /Duplicate nodes/;

/** What the chain says, and of a copy its report; null while the mirror must still be ended. */
async function outcomeOf(
  deps: HostDeps,
  { job, change, look, report }: Mirror,
  action: End['action'],
): Promise<Done | null> {
  const stallMs = report?.stallMs ?? null;
  if (action === 'abort' && report?.kept === job.jobId) {
    await assertFlushed(deps, change);
    return { outcome: 'kept', stallMs };
  }
  if (!hasSwitched(look, change)) {
    return look.state === 'off' ? { outcome: 'vm-stopped', reason: look.stateReason } : null;
  }
  const { plan } = job;
  // A guest whose user let it run on before libvirt had written the record.
  if (plan.vm && (await whereRecordIs(deps, plan, plan.vm)) === 'source') {
    await switchRecord(deps, change, '--config');
  }
  return { outcome: 'pivoted', stallMs };
}

/**
 * The last look before: the mirror is READY, or may become it while the guest is suspended; the
 * copies are what was made, and libvirt will write the record.
 */
async function obstacleOf(
  deps: HostDeps,
  { job, change, look }: Mirror,
  { settleMs }: End,
): Promise<Done | null> {
  if (look.isReloaded) {
    const reason = 'libvirtd died in it, and the VM was saved and started with its source';
    return { outcome: 'lost', reason };
  }
  const { ready = false, ending = null } = look.disk?.mirror ?? {};
  const isDue = ready || (settleMs !== null && ending === null);
  if (!(await isOurMirror(change, look.disk)) || !isDue) {
    return { outcome: 'not-ready', reason: 'the mirror is not READY (any more)' };
  }
  const active = await otherSource(change, look.disk);
  if (active !== null) return { outcome: 'changed', reason: `the VM runs on ${active} now` };
  if (!(await isOpenForMirror(change))) {
    return { outcome: 'lost', reason: `QEMU does not write ${change.to.path}` };
  }
  const missing = await missingCopies(deps, job);
  if (missing) return missing;
  const { plan } = job;
  const { vm } = plan;
  const taken = vm && (await takenSnapshots(deps, plan, vm));
  if (taken) return { outcome: 'changed', reason: taken };
  // libvirt leaves one that names another file as it is, without a word.
  if (!vm || (await whereRecordIs(deps, plan, vm)) === 'source') return null;
  return { outcome: 'changed', reason: `the record of VM ${vm.name} was changed meanwhile` };
}
