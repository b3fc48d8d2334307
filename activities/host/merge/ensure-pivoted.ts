/**
 * The point of no return of an active merge: QEMU switches to base while the guest is suspended.
 */
import type { InputOf, ResultOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost, JobInput } from '../../../workflows/merge/activities.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import { buildRecord } from '../../adapters/libvirt-xml/domain-xml.ts';
import { domainFolder } from '../../adapters/virsh/libvirt-folders.ts';
import { readPivotReport, refusalWords, type PivotDisk } from '../../adapters/virsh/safe-pivot.ts';
import { inOneLine } from '../../adapters/virsh/records.ts';
import type { HostDeps } from '../deps.ts';
import { recordOf } from './job-record.ts';
import { lookAndGiveBack } from '../pivot/give-back-guest.ts';
import { hasSwitched, pivotFile, type DiskLook } from '../pivot/look-at-disk.ts';
import { budgetMs } from '../pivot/stalls.ts';
import { whileTelling } from '../pivot/telling.ts';
import { isCommitOf, switchOf } from './observe-disk.ts';

type Input = InputOf<typeof mergeOnHost, 'ensurePivoted'>;
type Outcome = ResultOf<typeof mergeOnHost, 'ensurePivoted'>;

/**
 * Makes base the active layer. Only the chain says whether it is: the script's exit code does not,
 * and "no job" does not. An earlier attempt's script that still runs is waited for.
 */
export async function ensurePivoted(deps: HostDeps, input: Input): Promise<Outcome> {
  const { plan, settleMs = null } = input;
  const before = await lookAndGiveBack(deps, switchOf(plan));
  const early = await outcomeOf(deps, input, before);
  if (early) return early;
  if (before.isReloaded) {
    const reason = 'libvirtd died in it, and the VM was saved and started with its chain of before';
    return { outcome: 'not-pivoted', reason };
  }
  const mirror = before.disk?.mirror;
  const isOurs = mirror && (await isCommitOf(plan, before, { type: mirror.job }));
  if (!isOurs || !(mirror.ready || (settleMs !== null && mirror.ending === null))) {
    return { outcome: 'not-pivoted', reason: 'the job is not READY (any more)' };
  }
  const vm = { name: plan.vm, uuid: plan.vmUuid };
  const persistent = before.persistent && plan.persistent;
  const folder = persistent ? await domainFolder(vm) : null;
  const announced: PivotDisk = {
    disk: plan.disk,
    // As libvirt spells it: the plan's path has its links resolved.
    to: mirror.path,
    job: 'active-commit',
    record: inOneLine(buildRecord(recordOf(input, 'pivot'))),
    kept: null,
    resultFile: pivotFile(deps, plan),
  };
  const budget = await budgetMs(deps.stateDir, { settleMs, disks: 1 });
  const [report] = await deps.effect('libvirt.pivot', operationId(plan), () => {
    const { vmUuid: uuid } = plan;
    const disks = [announced];
    const how = { action: 'pivot', persistent, folder, budgetMs: budget } as const;
    const request = { uuid, ...how, disks };
    return whileTelling(deps, plan, deps.pivots.run(request));
  });
  const after = await lookAndGiveBack(deps, switchOf(plan));
  const late = await outcomeOf(deps, input, after);
  if (late) return late;
  const reason = refusalWords(report);
  return { outcome: 'not-pivoted', reason, ...(report?.isBehind && { isBehind: true }) };
}

/** What the chain says; null while the job must still be pivoted. */
async function outcomeOf(
  deps: HostDeps,
  { plan }: JobInput,
  look: DiskLook,
): Promise<Outcome | null> {
  if (hasSwitched(look, switchOf(plan))) {
    const report = await readPivotReport(pivotFile(deps, plan));
    const { stallMs = null, issuedAtMs = null } = report ?? {};
    return { outcome: 'pivoted', stallMs, pivotIssuedAtMs: issuedAtMs };
  }
  return look.state === 'off' ? { outcome: 'vm-stopped', reason: look.stateReason } : null;
}
