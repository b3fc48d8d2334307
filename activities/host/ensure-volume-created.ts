/** The empty image at a reserved name that a volume is converted into. */
import { Context } from '@temporalio/activity';
import type { Conversion, ImageVolume } from '../../workflows/image-schemas.ts';
import type { ImageHostActivities, VolumeJob } from '../../workflows/move-contract.ts';
import { dismissJob } from '../adapters/copy-job.ts';
import { observeFile } from '../adapters/files.ts';
import { startCreation } from '../adapters/image-conversion.ts';
import { observeCopy } from '../adapters/image-copier.ts';
import { resetFile, stagedFile } from '../adapters/image-files.ts';
import { QmpError } from '../adapters/qmp.ts';
import { assertReserved } from '../pool-presence.ts';
import type { HostDeps } from './deps.ts';
import { ensureImageHeld, stateOf } from './ensure-image-held.ts';
import { createPauses } from './job-pauses.ts';
import { createProgress } from '../progress.ts';

/** Names of a volume's jobs in the daemon; an ended one stays there until its copy is complete. */
export const copyId = ({ at }: VolumeJob) => `copy-${at}`;
export const creationId = ({ at }: VolumeJob) => `create-${at}`;

/**
 * Takes the space, in the daemon, which goes on when the agent dies. A volume that is copied
 * already, or is being copied, has had its target.
 */
export async function ensureVolumeCreated(
  deps: HostDeps,
  job: VolumeJob,
): ReturnType<ImageHostActivities['ensureVolumeCreated']> {
  const held = await ensureImageHeld(deps, job);
  if (held.outcome !== 'held') return held;
  const { plan, jobId, at } = job;
  const { name, path } = plan.volumes[at] as ImageVolume;
  await assertReserved(job, `creating the target for ${path}`);
  for (const stage of ['copied', 'ready'] as const) {
    if (await observeFile(stagedFile(plan.to.folder, jobId, name, stage))) {
      return { outcome: 'created' };
    }
  }
  if (await observeCopy(stateOf(deps, jobId), copyId(job))) return { outcome: 'created' };
  const error = await createTarget(deps, job);
  return error === null ? { outcome: 'created' } : { outcome: 'failed', reason: error };
}

/**
 * Creates the target unless this daemon has: another daemon's is emptied and created anew. Only for
 * a volume whose copy does not run. @returns null when it is there, else QEMU's words.
 */
export async function createTarget(deps: HostDeps, job: VolumeJob): Promise<string | null> {
  const { plan, jobId, at } = job;
  const { name, convert } = plan.volumes[at] as ImageVolume & { convert: Conversion };
  const [state, id] = [stateOf(deps, jobId), creationId(job)];
  const part = stagedFile(plan.to.folder, jobId, name, 'part');
  if (!(await observeCopy(state, id))) {
    try {
      await deps.effect('image.create-target', part, async () => {
        if (await observeCopy(state, id)) return;
        await resetFile(part, 0);
        await startCreation(state, id, part, convert);
      });
    } catch (error) {
      if (!(error instanceof QmpError)) throw error;
      return `QEMU refuses to create ${part}: ${error.message}`;
    }
  }
  const error = await untilCreated(state, id, convert);
  if (error === null) return null;
  await dismissJob(state, id);
  return `QEMU could not create ${part}: ${error}`;
}

async function untilCreated(
  state: string,
  id: string,
  { virtualSizeBytes, preallocation }: Conversion,
): Promise<string | null> {
  const context = Context.current();
  const progress = createProgress('creating');
  const note = `creating the empty image, preallocation ${preallocation}`;
  const pause = createPauses();
  for (;;) {
    const job = await observeCopy(state, id);
    if (!job) throw new Error('the daemon that creates the copy died; it is started again');
    if (job.status === 'concluded') return job.error;
    const sample = { atMs: Date.now(), copiedBytes: 0, totalBytes: virtualSizeBytes };
    context.heartbeat({ ...progress.add(sample), note });
    await context.sleep(pause(job));
  }
}
