/** The point of no return of a snapshot: the disks write to the overlays, all or none. */
import type { TakenOutcome, Taking } from '../../../workflows/snapshot/create/activities.ts';
import type { SnapshotPlan } from '../../../workflows/snapshot/create/plan.ts';
import { buildSnapshot } from '../../adapters/libvirt-xml/overlaid.ts';
import { domainFolder } from '../../adapters/virsh/libvirt-folders.ts';
import { runSafeSnapshot } from '../../adapters/virsh/safe-snapshot.ts';
import { wasSaved } from '../chain/managed-save.ts';
import { lookAtVm } from '../chain/observe-vm.ts';
import { orRefused } from '../../door/lasting.ts';
import type { HostDeps } from '../deps.ts';
import { defineRecord, recordWithOverlays } from './define-record.ts';
import { holding } from './holding.ts';
import { factsOf, layeredDisks } from './layered.ts';
import { lookAtSnapshot } from './look.ts';
import { strangeOverlay } from './made-overlays.ts';
import { ensureSnapshotSettled, scriptState, settleSnapshot } from './ensure-snapshot-settled.ts';

/**
 * Only the views of the disks say whether it is taken: no exit code does. An earlier attempt that
 * still runs is waited for.
 */
export async function ensureSnapshotTaken(deps: HostDeps, taking: Taking): Promise<TakenOutcome> {
  // Before the look: what another program does after it is seen by the script.
  const shown = await deps.libvirt.activeLayers(taking.plan.vmUuid);
  // Into no overlay that an attempt before this one had let a guest write: over a base that was
  // written since, as by a commit of that overlay, its old data would be read again (I1).
  const before = await ensureSnapshotSettled(deps, taking);
  if (before.outcome === 'taken' || before.outcome === 'changed') return before;
  const { plan } = taking;
  const vm = { name: plan.vm, uuid: plan.vmUuid };
  const { state, managedSave } = await lookAtVm(deps, vm, attempt(plan));
  if (state === 'off' && managedSave) return { outcome: 'changed', reason: wasSaved(plan.vm) };
  if ((state !== 'off') !== plan.running) {
    return { outcome: 'changed', reason: `VM ${plan.vm} is ${state} now` };
  }
  const strange = await strangeOverlay({ ...taking, disks: plan.disks });
  if (strange !== null) return { outcome: 'changed', reason: strange };
  if (plan.running) return takeOfRunning(deps, taking, shown);
  const isUntouched = async () => (await settleSnapshot(deps, taking)).outcome === 'not-taken';
  const taken = await orRefused(() => takeOfStopped(deps, taking), isUntouched);
  return taken.outcome === 'refused' ? { ...taken, outcome: 'not-taken' } : taken;
}

const attempt = ({ snapshot, vm }: SnapshotPlan) => `taking snapshot ${snapshot} of ${vm}`;

async function takeOfRunning(
  deps: HostDeps,
  taking: Taking,
  shown: ReadonlyMap<string, string>,
): Promise<TakenOutcome> {
  const { plan } = taking;
  const vm = { name: plan.vm, uuid: plan.vmUuid };
  const recordXml = plan.persistent ? await recordWithOverlays(deps, plan) : null;
  const folder = plan.persistent ? await domainFolder(vm) : null;
  await deps.effect('libvirt.take-snapshot', `${plan.vm} ${plan.snapshot}`, () =>
    runSafeSnapshot(deps.libvirt.uri, scriptState(deps, taking), {
      uuid: plan.vmUuid,
      snapshotXml: buildSnapshot(
        factsOf(plan),
        plan.left.map(({ disk }) => disk),
      ),
      recordXml,
      quiesce: plan.quiesce,
      folder,
      disks: layeredDisks(plan).map(({ disk, overlay }) => ({
        ...{ disk, overlay },
        shown: shown.get(disk) ?? '',
      })),
    }),
  );
  return settleSnapshot(deps, taking);
}

/** QEMU's locks on the bases keep the VM from starting between the look and the change. */
async function takeOfStopped(deps: HostDeps, taking: Taking): Promise<TakenOutcome> {
  const { plan } = taking;
  const paths = plan.disks.map(({ base }) => base.path);
  const held = await holding(paths, async () => {
    const { vm, disks } = await lookAtSnapshot(deps, taking);
    if (vm.state !== 'off' || vm.managedSave) return false;
    if (!disks.every(({ recorded }) => recorded === 'base')) return false;
    await defineRecord(deps, plan);
    return true;
  });
  if (!held)
    return { outcome: 'changed', reason: `VM ${plan.vm} was started or changed meanwhile` };
  return settleSnapshot(deps, taking);
}
