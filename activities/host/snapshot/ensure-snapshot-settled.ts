/**
 * What an attempt to take a snapshot has come to, once nothing of it is left half done: the record
 * is what the guest writes to, and the guest runs if it ran before (I1, I12).
 */
import { dirname } from 'node:path';
import { hold, retry } from '../../../workflows/operation/failures.ts';
import type { TakenOutcome, Taking } from '../../../workflows/snapshot/create/activities.ts';
import {
  awaitSnapshotScript,
  forgetSnapshot,
  noteResumed,
  readSnapshotReport,
  type SnapshotReport,
} from '../../adapters/virsh/safe-snapshot.ts';
import { reloadGuest, suspensionState } from '../../adapters/virsh/safe-pivot.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { CommandError } from '../../adapters/process/command.ts';
import { isStillEmpty } from '../../adapters/qemu-img/empty-image.ts';
import { syncRecords } from '../../adapters/virsh/libvirt-folders.ts';
import { untilSettled } from '../../door/polling.ts';
import { stagedFile } from '../../pool-folder/reservation.ts';
import type { HostDeps } from '../deps.ts';
import { observeState } from '../chain/lost-vm.ts';
import { defineRecord } from './define-record.ts';
import { lookAtSnapshot, overtakenIn, verdictOf, viewsInWords, type SnapshotLook } from './look.ts';
import { unlikeLive } from './made-overlays.ts';
import { shell } from '../../../workflows/operation/names.ts';

export const scriptState = (deps: HostDeps, { plan }: Taking) =>
  suspensionState(deps.runtimeDir, plan.vmUuid);

/** Looks for views that agree. */
const PATIENCE = 10;

/**
 * What an earlier attempt has come to, perhaps long ago.
 * @throws Hold `divergent-chain` also for overlays that were written and are in no chain
 */
export async function ensureSnapshotSettled(deps: HostDeps, taking: Taking): Promise<TakenOutcome> {
  const settled = await settleSnapshot(deps, taking);
  if (settled.outcome !== 'taken') await assertNeverWritten(taking);
  return settled;
}

/** One way back after the other, until the views agree. */
export async function settleSnapshot(deps: HostDeps, taking: Taking): Promise<TakenOutcome> {
  const state = scriptState(deps, taking);
  await awaitSnapshotScript(state);
  for (;;) {
    const report = await readSnapshotReport(state);
    const look = await lookUntilClear(deps, taking);
    const verdict = verdictOf(look.disks);
    const isSaved = look.vm.state === 'off' && look.vm.managedSave && isOurs(report);
    if (verdict === 'unseen' || isSaved) await goBack(deps, taking, look, report);
    // libvirtd died before it wrote it.
    else if (verdict === 'unrecorded' && !(await unlikeLive(taking)))
      await defineRecord(deps, taking.plan);
    else if (verdict === 'unrecorded' || verdict === 'divergent') throw divergent(taking, look);
    else return end(deps, taking, { look, verdict, report });
  }
}

/** libvirtd may still be writing what QEMU has done. */
const lookUntilClear = (deps: HostDeps, taking: Taking) =>
  untilSettled(PATIENCE, async () => {
    const look = await lookAtSnapshot(deps, taking);
    const isClear = verdictOf(look.disks) !== 'divergent';
    return { ...look, doubts: isClear ? [] : [viewsInWords(look.disks)] };
  });

const id = ({ plan }: Taking) => `${plan.vm} ${plan.snapshot}`;

/** Whether the guest stands still because of us. */
const isOurs = (report: SnapshotReport | null) =>
  report !== null && report.guest === 'running' && !report.resumed;

/**
 * libvirt shows the bases, QEMU writes the overlays, which are empty as long as the guest has stood
 * still: saved with its memory and started again, it goes on with the bases. An agent that died in
 * between has left it saved.
 */
async function goBack(
  deps: HostDeps,
  taking: Taking,
  { vm }: SnapshotLook,
  report: SnapshotReport | null,
): Promise<void> {
  if (!isOurs(report) || vm.state === 'running') throw unseen(taking);
  const { vmUuid: uuid, vm: name } = taking.plan;
  const state = scriptState(deps, taking);
  const said = await deps.effect('libvirt.reload-guest', id(taking), () =>
    reloadGuest(deps.libvirt.uri, state, { uuid, after: 'running' }),
  );
  const now = await observeState(deps, uuid);
  if (now.state === 'running') return noteResumed(state);
  if (now.state === 'paused') throw unseen(taking, said);
  throw retry('command-failed', {
    attempted: `starting the saved guest of ${name} again`,
    now: `libvirt said: ${said}; the guest is saved with its memory, no write is lost`,
    next: `Fix what libvirt names; blockflow tries again, as ${shell`virsh start ${name}`} does`,
  });
}

interface Settled {
  look: SnapshotLook;
  verdict: 'taken' | 'not-taken';
  report: SnapshotReport | null;
}

/** The guest runs again, thawed; then what it has come to. */
async function end(
  deps: HostDeps,
  taking: Taking,
  { look: { vm, disks }, verdict, report }: Settled,
): Promise<TakenOutcome> {
  const { vmUuid: uuid, vm: name, quiesce } = taking.plan;
  // A guest that runs on has a durable record.
  if (verdict === 'taken' && vm.persistent) await syncRecords({ name, uuid });
  if (isOurs(report) && vm.state === 'paused') {
    await deps.effect('libvirt.resume-guest', id(taking), async () => {
      await deps.libvirt.resume(uuid);
    });
  }
  const frozen = report && report.frozen === 'yes' ? await thaw(deps, taking) : null;
  await forgetSnapshot(scriptState(deps, taking));
  const refusal = report?.refusal ?? '';
  if (verdict === 'not-taken') {
    const overtaken = overtakenIn(disks);
    if (overtaken.length > 0) return changedBy(taking, overtaken);
    const switched = report?.switched ?? 'nothing was begun';
    const isUnfrozen = switched.startsWith('not-frozen');
    const reason = [isUnfrozen ? refusal : switched, ...(frozen === null ? [] : [frozen])];
    return { outcome: isUnfrozen ? 'not-frozen' : 'not-taken', reason: reason.join('; ') };
  }
  const warnings = [
    ...(quiesce === 'try' && refusal !== ''
      ? [`the file systems of the guest were not frozen: ${refusal}`]
      : []),
    ...(frozen === null ? [] : [frozen]),
  ];
  const quiesced = quiesce !== 'no' && refusal === '' && report !== null && report.frozen !== 'no';
  return { outcome: 'taken', stallMs: report?.stallMs ?? null, quiesced, warnings };
}

/** Overlays that nothing names are given up: they are deleted next. */
async function changedBy(taking: Taking, disks: readonly string[]): Promise<TakenOutcome> {
  await assertNeverWritten(taking);
  const reason = `another program has changed the layers of ${disks.join(', ')} meanwhile`;
  return { outcome: 'changed', reason };
}

/** What a guest has written is not deleted, although it is in no chain any more; nor used again. */
async function assertNeverWritten({ plan, jobId }: Taking): Promise<void> {
  const { vm, snapshot } = plan;
  const looks = plan.disks.map(async ({ to, name, base }) => {
    const staged = stagedFile(to.folder, jobId, name, 'ready');
    const isUnused = !(await observeFile(staged)) || (await isStillEmpty(staged));
    return isUnused ? [] : [{ staged, base }];
  });
  const [written] = (await Promise.all(looks)).flat();
  if (!written) return;
  const { staged, base } = written;
  throw hold('divergent-chain', {
    attempted: `settling snapshot ${snapshot} of ${vm}, which was begun before`,
    now: `${staged} holds what a guest wrote, but no view of the VM names it; all files are kept`,
    next:
      `Where its data was committed, or is not needed, remove the folder ${dirname(staged)}. ` +
      `Name it in ${shell`virsh edit ${vm}`} only if nothing has written ${base.path} since: ` +
      'else the guest would read old data. Then repeat the request',
  });
}

/** @returns what is wrong, in words; null when its file systems can be written again */
async function thaw(deps: HostDeps, taking: Taking): Promise<string | null> {
  const { vm, vmUuid } = taking.plan;
  const refusal = await deps.effect('guest.thaw', id(taking), () =>
    deps.libvirt.thaw(vmUuid).then(
      () => null,
      (error: unknown) => {
        if (error instanceof CommandError) return error.stderr;
        throw error;
      },
    ),
  );
  if (refusal === null) return null;
  const now = `the file systems of the guest may still be frozen (${refusal})`;
  return `${now}: ${shell`virsh domfsthaw ${vm}`}`;
}

function divergent(taking: Taking, { disks }: SnapshotLook) {
  const { vm, snapshot } = taking.plan;
  return hold('divergent-chain', {
    attempted: `taking snapshot ${snapshot} of ${vm}`,
    now: `the views of its disks differ; nothing more was touched: ${viewsInWords(disks)}`,
    next:
      `Look at ${shell`blockflow chain ${vm} DISK`} for each disk, make the views agree, and ` +
      'repeat the request',
  });
}

function unseen(taking: Taking, said = '') {
  const { vm, snapshot, disks } = taking.plan;
  const overlays = disks.map(({ to, name }) => `${to.folder}/${name}`).join(', ');
  return hold('divergent-chain', {
    attempted: `taking snapshot ${snapshot} of ${vm}`,
    now:
      `QEMU writes to ${overlays}, but libvirt shows the layers below; all files are kept` +
      (said === '' ? '' : ` (libvirt said: ${said})`),
    next:
      `Do not stop the VM: its record has the old layers. ${shell`virsh managedsave ${vm}`}, ` +
      'name the overlays in `virsh managedsave-edit` (without <backingStore>) and ' +
      '`virsh edit`, then ' +
      shell`virsh start ${vm}`,
  });
}
