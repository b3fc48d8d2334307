/**
 * The merge of a VM that is down: an offline commit, with QEMU's image locks keeping the VM from
 * starting meanwhile.
 */
import type { InputOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost, ColdOutcome } from '../../../workflows/merge/activities.ts';
import { Context } from '@temporalio/activity';
import { operationId } from '../../../workflows/chain/references.ts';
import type { MergePlan } from '../../../workflows/merge/plan.ts';
import {
  coldCommitEnd,
  coldCommitPercent,
  coldCommitState,
  fileState,
  forgetColdCommitEnd,
  runColdCommit,
  stopColdCommit,
  type ColdCommitEnd,
} from '../../adapters/qemu-img/cold-commit.ts';
import { observeFile, type FileFacts } from '../../adapters/files/files.ts';
import { poll, type Look } from '../../door/polling.ts';
import { createProgress } from '../../door/progress.ts';
import type { HostDeps } from '../deps.ts';
import { carryBitmaps } from './carried-bitmaps.ts';
import { lookAndGiveBack } from '../pivot/give-back-guest.ts';
import { hasSwitched } from '../pivot/look-at-disk.ts';
import { mergeWork, OLD_PLAN } from '../pools/host-turns.ts';
import { recordJob } from './job-record.ts';
import { vmGone } from '../../../workflows/operation/failures.ts';
import { wasSaved } from '../chain/managed-save.ts';
import { assertOfDisk } from './own-chain.ts';
import { switchOf } from './observe-disk.ts';

type Input = InputOf<typeof mergeOnHost, 'ensureColdCommitted'>;
const LOOK_EVERY_MS = 500;

/**
 * Commits top into base with `qemu-img commit -d`, so that top stays the whole truth until the
 * record is switched. A run that an earlier life of the agent started is followed, and one that
 * ended meanwhile counts, as long as no volume of it has changed since.
 */
export async function ensureColdCommitted(deps: HostDeps, input: Input): Promise<ColdOutcome> {
  const state = coldCommitState(deps.runtimeDir, input.jobId);
  const work = mergeWork(deps, input.jobId);
  // What has ended takes no turn.
  if (!(await coldCommitEnd(state))) {
    const hasWaited = await deps.turns.take(work, { startedAtMs: input.startedAtMs ?? 0 });
    // It keeps the turn for the next plan.
    if (hasWaited) return { outcome: 'failed', reason: OLD_PLAN };
  }
  try {
    return await deps.turns.during(work, () => commit(deps, input, state));
  } finally {
    deps.turns.giveBack(work.id);
  }
}

async function commit(deps: HostDeps, input: Input, state: string): Promise<ColdOutcome> {
  const { plan } = input;
  const change = switchOf(plan);
  const look = await lookAndGiveBack(deps, change);
  if (!look.persistent) {
    const truth = 'its volumes stay as they are';
    throw vmGone(`committing ${plan.top.path} into ${plan.base.path}`, plan.vm, truth);
  }
  await recordJob(deps, input, look);
  if (hasSwitched(look, change)) return { outcome: 'committed', topModifiedNs: '' };
  if (look.state !== 'off') return { outcome: 'vm-started', reason: look.stateReason };
  if (look.managedSave) return { outcome: 'vm-started', reason: wasSaved(plan.vm) };
  await assertOfDisk(deps, plan);
  const before = await committedTop(plan, await coldCommitEnd(state));
  if (before) return { outcome: 'committed', topModifiedNs: before.modifiedNs };
  await forgetColdCommitEnd(state);
  const running = deps.effect('qemu-img.commit', operationId(plan), async () => {
    await carryBitmaps(plan.base, plan.committed);
    await runColdCommit(state, volumesOf(plan), commitArguments(input));
  });
  await follow(state, plan, running);
  const end = await coldCommitEnd(state);
  const top = await committedTop(plan, end);
  return top
    ? { outcome: 'committed', topModifiedNs: top.modifiedNs }
    : { outcome: 'failed', reason: whyFailed(plan, end) };
}

const volumesOf = ({ base, committed }: MergePlan) => [base, ...committed].map(({ path }) => path);

/**
 * Top, when a run has committed just these volumes, and none of them has changed since; null
 * otherwise. A run that an earlier request began may have been of others.
 */
async function committedTop(plan: MergePlan, end: ColdCommitEnd | null): Promise<FileFacts | null> {
  if (end?.code !== 0) return null;
  const now = await Promise.all(volumesOf(plan).map(observeFile));
  const are = now.map((file) => file && fileState(file));
  return are.join() === end.fingerprints.join() ? (now.at(-1) ?? null) : null;
}

function whyFailed({ top, base }: MergePlan, end: ColdCommitEnd | null): string {
  if (!end) return 'qemu-img was killed';
  if (end.code !== 0) return end.error || `qemu-img exited ${end.code}`;
  return `${top.path} or ${base.path} is not what it was when qemu-img ended`;
}

/**
 * Changes when a process writes to top: a VM that starts and stops between commit and switch is
 * found out by it.
 */
export const topModified = async (plan: MergePlan) =>
  (await observeFile(plan.top.path))?.modifiedNs ?? '';

function commitArguments({ plan, bandwidthBytesPerSecond: rate }: Input): string[] {
  const limit = rate > 0 ? ['-r', String(rate)] : [];
  const { top, base } = plan;
  return ['commit', '-p', '-d', ...limit, '-f', top.format, '-b', base.path, top.path];
}

/**
 * Beats with the progress until the run ends; a cancel ends the run, whose base then is only partly
 * newer.
 */
async function follow(state: string, plan: MergePlan, running: Promise<void>): Promise<void> {
  const progress = createProgress('copying');
  const totalBytes = plan.committed.reduce((sum, volume) => sum + volume.allocatedBytes, 0);
  let ended = false;
  const end = running.finally(() => (ended = true));
  end.catch(() => undefined);
  const look = async (): Promise<Look<void>> => {
    if (ended) return { end: await end };
    const copiedBytes = Math.round(((await coldCommitPercent(state)) / 100) * totalBytes);
    const shown = progress.add({ atMs: Date.now(), copiedBytes, totalBytes });
    return { shown, pauseMs: LOOK_EVERY_MS, early: end };
  };
  try {
    await poll(look);
  } catch (error) {
    if (Context.current().cancellationSignal.aborted) await stopColdCommit(state);
    throw error;
  }
}
