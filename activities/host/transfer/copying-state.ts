/** Where this host keeps the copying daemon of a job, and what its copies are told and called. */
import { Context } from '@temporalio/activity';
import { copiesOf } from '../../../workflows/transfer/copied.ts';
import type { ImageJob, VolumeJob } from '../../../workflows/transfer/activities.ts';
import type { ImageVolume } from '../../../workflows/transfer/plan.ts';
import { copierState } from '../../adapters/copying-daemon/daemon.ts';
import { readCopyLimit } from '../../adapters/copying-daemon/limit.ts';
import type { HostDeps } from '../deps.ts';
import { copyWork } from '../pools/host-turns.ts';

export const stateOf = (deps: HostDeps, jobId: string) => copierState(deps.runtimeDir, jobId);

export const workOf = (deps: HostDeps, { jobId, plan }: ImageJob) =>
  copyWork(deps, jobId, plan.to.pool);

/** Names of a volume's jobs in the daemon; an ended one stays there until its copy is complete. */
export const copyId = ({ at }: VolumeJob) => `copy-${at}`;
export const creationId = ({ at }: VolumeJob) => `create-${at}`;

/** What this run was told last, or scheduled the copy with. */
export const wantedRate = async (state: string, scheduled: number) =>
  (await readCopyLimit(state, runId())) ?? scheduled;

export const runId = () => Context.current().info.workflowExecution?.runId ?? '';

/** What there is to copy in a volume: not its holes, but for a conversion what a guest sees. */
export const dataBytes = ({ convert, sizeBytes, allocatedBytes }: ImageVolume) =>
  convert?.virtualSizeBytes ?? Math.min(sizeBytes, allocatedBytes);

const sumOf = (volumes: readonly ImageVolume[]) =>
  volumes.reduce((sum, volume) => sum + dataBytes(volume), 0);

/** The same of all copies of an image. */
export const imageBytes = ({ plan }: VolumeJob) => sumOf(copiesOf(plan));
/** And of those that come before this one. */
export const bytesBefore = ({ plan, at }: VolumeJob) =>
  sumOf(plan.flatten ? [] : plan.volumes.slice(0, at));

/** What is read through this volume besides itself, base-most first, where its copy is flat. */
export const layersBelow = ({ plan, at }: VolumeJob) =>
  plan.flatten ? plan.volumes.slice(0, at).map(({ path, format }) => ({ path, format })) : [];
