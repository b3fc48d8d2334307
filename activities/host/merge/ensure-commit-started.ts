/** Start-or-attach of the commit job, announced first; its limit, and its abort. */
import { activityInfo } from '@temporalio/activity';
import {
  operationId,
  type HostActivities,
  type JobInput,
} from '../../../workflows/operation/contract.ts';
import { retry } from '../../../workflows/operation/failures.ts';
import type { BlockJob } from '../../../workflows/chain/schemas.ts';
import { coldCommitState, stopColdCommit } from '../../adapters/qemu-img/cold-commit.ts';
import { CommandError } from '../../adapters/process/command.ts';
import { parseDomain, type XmlDisk } from '../../adapters/libvirt-xml/domain-xml.ts';
import { awaitPivotScript } from '../../adapters/virsh/safe-pivot.ts';
import type { JobReading } from '../../adapters/virsh/jobs.ts';
import type { HostDeps } from '../deps.ts';
import { lookAndGiveBack, pivotFile } from './give-back-guest.ts';
import { recordJob } from './job-record.ts';
import {
  isCommitInto,
  isCommitOf,
  isReady,
  lookAtDisk,
  topHasLeft,
} from '../chain/observe-disk.ts';

type StartInput = Parameters<HostActivities['ensureCommitStarted']>[0];

/**
 * Records first whose job it is. A job of ours that already runs is attached to; a chain that
 * already lacks top needs none. A job of somebody else that began after the plan is for the next
 * plan to find.
 */
export async function ensureCommitStarted(
  deps: HostDeps,
  input: StartInput,
): ReturnType<HostActivities['ensureCommitStarted']> {
  const { plan } = input;
  const look = await lookAndGiveBack(deps, plan);
  await recordJob(deps, input, look);
  if (topHasLeft(look, plan)) return { outcome: 'finished', reason: 'top has left the chain' };
  if (look.state === 'off') return { outcome: 'vm-stopped', reason: look.stateReason };
  const running = await deps.libvirt.blockJob(plan.vmUuid, plan.disk);
  if (running && !(await isCommitOf(plan, look, running))) {
    return { outcome: 'busy', reason: `another job began on the disk: ${running.type}` };
  }
  if (running) return started(deps, plan, 'attached to the job that runs');
  const args = commitArguments(input, look.disk as XmlDisk);
  try {
    await deps.effect('libvirt.start-commit', operationId(plan), () =>
      deps.libvirt.startCommit(plan.vmUuid, plan.disk, args),
    );
  } catch (error) {
    return startFailed(input, error);
  }
  return started(deps, plan, 'started');
}

/** A small merge is READY within this time: waiting for it here saves a step of the workflow. */
const SOON_MS = 50;

async function started(deps: HostDeps, plan: JobInput['plan'], reason: string) {
  const end = Date.now() + SOON_MS;
  let readyAtMs: number | null = null;
  while (plan.mode === 'active' && readyAtMs === null && Date.now() < end) {
    if (await isReady(await lookAtDisk(deps, plan), plan)) readyAtMs = Date.now();
  }
  return { outcome: 'started' as const, reason, readyAtMs };
}

function commitArguments(input: StartInput, disk: XmlDisk): string[] {
  const { plan, bandwidthBytesPerSecond, keepRelative } = input;
  // By index in the running chain: a path could name another file by now, and would need escaping
  // rules.
  const name = (path: string) => {
    const index = disk.chain.find((volume) => volume.path === path)?.index;
    return index === null || index === undefined ? path : `${plan.disk}[${index}]`;
  };
  return [
    '--base',
    name(plan.base.path),
    ...(plan.overlay ? ['--top', name(plan.top.path)] : ['--active']),
    ...(keepRelative ? ['--keep-relative'] : []),
    ...(bandwidthBytesPerSecond > 0
      ? ['--bytes', '--bandwidth', String(bandwidthBytesPerSecond)]
      : []),
  ];
}

/**
 * Attempts before libvirt's words become the result: some of its refusals pass by themselves (E12,
 * E18).
 */
const PATIENCE = 6;

function startFailed(input: StartInput, error: unknown): { outcome: 'failed'; reason: string } {
  if (!(error instanceof CommandError)) throw error;
  const reason = error.stderr.replace(/^error: /gm, '');
  if (activityInfo().attempt >= PATIENCE) return { outcome: 'failed', reason };
  const { plan } = input;
  throw retry(
    'command-failed',
    {
      attempted: `starting the commit of ${plan.top.path} into ${plan.base.path}`,
      now: `libvirt said: ${reason}; no job of ours runs`,
      next: 'blockflow looks again and tries again; mend what libvirt names, or cancel',
    },
    error,
  );
}

/** Sets our running job's limit; null when it does not run (any more), or not even the VM. */
export async function ensureBandwidth(
  deps: HostDeps,
  input: Parameters<HostActivities['ensureBandwidth']>[0],
): Promise<BlockJob | null> {
  const { vm, disk, bandwidthBytesPerSecond } = input;
  const uuid = await deps.libvirt.findVm(vm);
  if (uuid === null || (await deps.libvirt.domainInfo(uuid)).state === 'off') return null;
  const job = await deps.libvirt.blockJob(uuid, disk);
  if (!job || !(await isAnnounced(deps, uuid, disk, job))) return null;
  if (job.bandwidthBytesPerSecond !== bandwidthBytesPerSecond) {
    await deps.effect('libvirt.set-job-bandwidth', operationId(input), () =>
      deps.libvirt.setJobBandwidth(uuid, disk, bandwidthBytesPerSecond),
    );
  }
  return { ...job, bandwidthBytesPerSecond, ready: false };
}

/** True when the job is the one that our record on this disk announces. */
async function isAnnounced({ libvirt }: HostDeps, uuid: string, disk: string, job: JobReading) {
  const xml = await libvirt.currentXml(uuid);
  const domain = xml === null ? null : parseDomain(xml);
  const record = domain?.records.find((candidate) => candidate.disk === disk);
  const xmlDisk = domain?.disks.find(({ target }) => target === disk) ?? null;
  return record !== undefined && isCommitInto(record.base, record.mode, xmlDisk, job);
}

/**
 * Ends our job without a pivot and proves that the chain is what it was. Never touches a job that
 * is not ours.
 */
export async function ensureCommitAborted(
  deps: HostDeps,
  { plan, jobId }: JobInput,
): ReturnType<HostActivities['ensureCommitAborted']> {
  await awaitPivotScript(pivotFile(deps, plan));
  // An offline commit that an earlier life of the agent started goes on by itself, whoever cancels.
  if (plan.mode === 'cold') await stopColdCommit(coldCommitState(deps.runtimeDir, jobId));
  const look = await lookAtDisk(deps, plan);
  const job = look.state === 'off' ? null : await deps.libvirt.blockJob(plan.vmUuid, plan.disk);
  if (job && look.record?.jobId === jobId && (await isCommitOf(plan, look, job))) {
    await deps.effect('libvirt.abort-job', operationId(plan), () => abortQuietly(deps, plan));
  }
  const after = await lookAndGiveBack(deps, plan);
  return { outcome: topHasLeft(after, plan) ? 'merged' : 'unchanged' };
}

/**
 * "No active block job" and "still being ended" mean that the job ends without us; the next look
 * tells how.
 */
async function abortQuietly(deps: HostDeps, plan: JobInput['plan']): Promise<void> {
  await deps.libvirt.abortJob(plan.vmUuid, plan.disk).catch((error: unknown) => {
    const ended = /does not have an active block job|is still being ended|not running/;
    if (!(error instanceof CommandError && ended.test(error.stderr))) throw error;
  });
}
