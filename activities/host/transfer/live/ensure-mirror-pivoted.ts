/**
 * The point of no return of a move whose VM runs: QEMU switches to the copy while the guest is
 * suspended.
 */
import type { InputOf, ResultOf } from '../../../../workflows/operation/activities.ts';
import type { ImageJob, transferOnHost } from '../../../../workflows/transfer/activities.ts';
import { operationId } from '../../../../workflows/chain/references.ts';
import { domainFolder } from '../../../adapters/virsh/libvirt-folders.ts';
import { readPivotReport, refusalWords } from '../../../adapters/virsh/safe-pivot.ts';
import type { HostDeps } from '../../deps.ts';
import { vmOf, type DiskSwitch } from '../../pivot/disk-switch.ts';
import { lookAndGiveBack } from '../../pivot/give-back-guest.ts';
import { hasSwitched, pivotFile, type DiskLook } from '../../pivot/look-at-disk.ts';
import { switchRecord } from '../../pivot/switch-record.ts';
import { whereRecordIs } from '../copies.ts';
import { missingCopies } from './copies-in-place.ts';
import { isOpenForMirror, isOurMirror, otherSource, switchOf } from './look.ts';

type Input = InputOf<typeof transferOnHost, 'ensureMirrorPivoted'>;
type Outcome = ResultOf<typeof transferOnHost, 'ensureMirrorPivoted'>;

/**
 * Makes the copy the active layer. Only the chain says whether it is. An earlier attempt's script
 * that still runs is waited for.
 */
export async function ensureMirrorPivoted(deps: HostDeps, job: Input): Promise<Outcome> {
  const { settleMs = null } = job;
  const change = await switchOf(job);
  const before = await lookAndGiveBack(deps, change);
  const early = await outcomeOf(deps, job, { change, look: before });
  if (early) return early;
  if (before.isReloaded) {
    const reason = 'libvirtd died in it, and the VM was saved and started with its source';
    return { outcome: 'lost', reason };
  }
  const { ready = false, ending = null } = before.disk?.mirror ?? {};
  const isDue = ready || (settleMs !== null && ending === null);
  if (!(await isOurMirror(change, before.disk)) || !isDue) {
    return { outcome: 'not-ready', reason: 'the mirror is not READY (any more)' };
  }
  const active = await otherSource(change, before.disk);
  if (active !== null) return { outcome: 'changed', reason: `the VM runs on ${active} now` };
  if (!(await isOpenForMirror(change))) {
    return { outcome: 'lost', reason: `QEMU does not write ${change.to.path}` };
  }
  const obstacle = await obstacleToPivot(deps, job);
  if (obstacle) return obstacle;
  const [report] = await deps.effect('libvirt.pivot', operationId(change), async () =>
    deps.pivots.run({
      uuid: change.vmUuid,
      action: 'pivot',
      persistent: true,
      folder: await domainFolder(vmOf(change)),
      settleMs,
      disks: [
        {
          disk: change.disk,
          job: change.job,
          // As libvirt spells it.
          to: before.disk?.mirror?.path ?? change.to.path,
          record: null,
          resultFile: pivotFile(deps, change),
        },
      ],
    }),
  );
  const after = await lookAndGiveBack(deps, change);
  const late = await outcomeOf(deps, job, { change, look: after });
  if (late) return late;
  const reason = refusalWords(report);
  const isHopeless = after.isReloaded || NEVER.test(reason);
  return { outcome: isHopeless ? 'lost' : 'not-ready', reason };
}

/**
 * libvirtd died while it attached the lower layers of the copy: QEMU has their nodes, of which it
 * knows nothing, and every pivot of this job fails (docs/lab/libvirt.md).
 */
const NEVER = /Duplicate nodes/;

interface Seen {
  change: DiskSwitch;
  look: DiskLook;
}

/** What the chain says; null while the mirror must still be pivoted. */
async function outcomeOf(
  deps: HostDeps,
  { plan }: ImageJob,
  { change, look }: Seen,
): Promise<Outcome | null> {
  if (!hasSwitched(look, change)) {
    return look.state === 'off' ? { outcome: 'vm-stopped', reason: look.stateReason } : null;
  }
  // A guest whose user let it run on before libvirt had written the record.
  if (plan.vm && (await whereRecordIs(deps, plan, plan.vm)) === 'source') {
    await switchRecord(deps, change, '--config');
  }
  const report = await readPivotReport(pivotFile(deps, change));
  return { outcome: 'pivoted', stallMs: report?.stallMs ?? null };
}

/** The last look before: the copies are what was made, and libvirt will write the record. */
async function obstacleToPivot(deps: HostDeps, job: ImageJob): Promise<Outcome | null> {
  const { plan } = job;
  const { vm } = plan;
  const missing = await missingCopies(deps, job);
  if (missing) return missing;
  // libvirt leaves one that names another file as it is, without a word.
  if (!vm || (await whereRecordIs(deps, plan, vm)) === 'source') return null;
  return { outcome: 'changed', reason: `the record of VM ${vm.name} was changed meanwhile` };
}
