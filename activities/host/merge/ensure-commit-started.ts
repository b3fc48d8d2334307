/** Start-or-attach of the commit job, announced first. */
import type { InputOf, ResultOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost, JobInput } from '../../../workflows/merge/activities.ts';
import { activityInfo } from '@temporalio/activity';
import { operationId } from '../../../workflows/chain/references.ts';
import { retry } from '../../../workflows/operation/failures.ts';
import { CommandError } from '../../adapters/process/command.ts';
import { type XmlDisk } from '../../adapters/libvirt-xml/domain-xml.ts';
import type { HostDeps } from '../deps.ts';
import { lookAndGiveBack } from './give-back-guest.ts';
import { recordJob } from './job-record.ts';
import { isCommitOf, isReady, lookAtDisk, topHasLeft } from './observe-disk.ts';

type StartInput = InputOf<typeof mergeOnHost, 'ensureCommitStarted'>;

/**
 * Records first whose job it is. A job of ours that already runs is attached to; a chain that
 * already lacks top needs none. A foreign job that began after the plan is for the next
 * plan to find.
 */
export async function ensureCommitStarted(
  deps: HostDeps,
  input: StartInput,
): Promise<ResultOf<typeof mergeOnHost, 'ensureCommitStarted'>> {
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
  // By index in the running chain: a path could already name another file, and would need escaping
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
      next: 'blockflow looks again and tries again; fix the error that libvirt reports, or cancel',
    },
    error,
  );
}
