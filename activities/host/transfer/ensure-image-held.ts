/**
 * Holds an image while it is copied: by QEMU's own locks nobody can write to it meanwhile, `virsh
 * start` neither.
 */
import { dirname } from 'node:path';
import { Context } from '@temporalio/activity';
import type {
  HoldOutcome,
  ImageHostActivities,
  ImageJob,
} from '../../../workflows/transfer/activities.ts';
import { givenUp } from '../../../workflows/operation/failures.ts';
import type { ImagePlan } from '../../../workflows/transfer/schemas.ts';
import { setCopySpeed } from '../../adapters/copying-daemon/mirror.ts';
import { readCopyLimit, writeCopyLimit } from '../../adapters/copying-daemon/limit.ts';
import { observeFile } from '../../adapters/files/files.ts';
import {
  copierRuns,
  copierState,
  runningCopies,
  startCopier,
  stopCopier,
  type CopierStart,
} from '../../adapters/copying-daemon/daemon.ts';
import { identityIn } from '../../pool-folder/id.ts';
import type { HostDeps } from '../deps.ts';

type Unheld = Exclude<CopierStart, { running: true }>;

export const stateOf = (deps: HostDeps, jobId: string) => copierState(deps.runtimeDir, jobId);

/**
 * Takes the hold unless it is there, and only then trusts what was planned: inode, size and
 * modification time of each volume. A host that died in between has lost the hold, and somebody may
 * have written.
 */
export async function ensureImageHeld(
  deps: HostDeps,
  { plan, jobId }: ImageJob,
): Promise<HoldOutcome> {
  const state = stateOf(deps, jobId);
  const files = plan.volumes.map((volume) => volume.path);
  const hold = () => startCopier(state, files);
  const held = (await copierRuns(state))
    ? ({ running: true } as const)
    : await deps.effect('image.hold', files.at(-1) ?? '', hold);
  if (!held.running && held.why === 'locked') return { outcome: 'in-use', reason: held.reason };
  const changed = await changeOf(plan);
  if (changed !== null) return { outcome: 'changed', reason: changed };
  if (!held.running) throw notHeld(files, held);
  return { outcome: 'held' };
}

/** Nobody's fault but this host's: that the volumes are in use would be a wrong trail. */
const notHeld = (files: readonly string[], { why, reason }: Unheld) =>
  givenUp({
    attempted: `holding ${files.at(-1)} with qemu-storage-daemon`,
    now: reason,
    next:
      why === 'missing'
        ? 'Install it on this host (`blockflow doctor` there names the package), then repeat'
        : 'Mend what it says (`blockflow doctor` there looks closer), then repeat the request',
  });

/** @returns what is not as it was planned, null when all is. */
async function changeOf(plan: ImagePlan): Promise<string | null> {
  for (const volume of plan.volumes) {
    const { path, sizeBytes, modifiedNs } = volume;
    const facts = await observeFile(path);
    const identity = await identityIn(dirname(path), volume);
    const same = facts?.identity === identity && facts.sizeBytes === sizeBytes;
    if (same && facts.modifiedNs === modifiedNs) continue;
    return `${path} was ${facts ? 'written' : 'removed'} meanwhile`;
  }
  return null;
}

/** Lets go: ends the daemon, and with it the hold and any copy that runs. */
export async function ensureImageReleased(
  deps: HostDeps,
  { jobId }: { jobId: string },
): Promise<void> {
  await deps.effect('image.release', jobId, () => stopCopier(stateOf(deps, jobId)));
}

/** Also of a copy that is just being started, or will be once more. */
export async function ensureCopyBandwidth(
  deps: HostDeps,
  { jobId, bandwidthBytesPerSecond }: Parameters<ImageHostActivities['ensureCopyBandwidth']>[0],
): Promise<void> {
  const state = stateOf(deps, jobId);
  await deps.effect('image.set-copy-bandwidth', jobId, async () => {
    await writeCopyLimit(state, { runId: runId(), bytesPerSecond: bandwidthBytesPerSecond });
    for (const id of await runningCopies(state)) {
      await setCopySpeed(state, id, bandwidthBytesPerSecond);
    }
  });
}

/** What this run was told last, or scheduled the copy with. */
export const wantedRate = async (state: string, scheduled: number) =>
  (await readCopyLimit(state, runId())) ?? scheduled;

const runId = () => Context.current().info.workflowExecution?.runId ?? '';
