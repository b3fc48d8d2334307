/** The empty image that a volume is converted into, made by the daemon. */
import { sizeWords } from '../../../workflows/operation/words.ts';
import type { Conversion, ImageVolume } from '../../../workflows/transfer/plan.ts';
import type { VolumeJob } from '../../../workflows/transfer/activities.ts';
import { startCreation } from '../../adapters/copying-daemon/conversion.ts';
import { observeCopy } from '../../adapters/copying-daemon/daemon.ts';
import { dismissJob } from '../../adapters/copying-daemon/mirror.ts';
import { QmpError } from '../../adapters/copying-daemon/qmp.ts';
import { resetFile } from '../../adapters/files/complete-copy.ts';
import { observeFile, observeSpace } from '../../adapters/files/files.ts';
import type { Show } from '../../door/attempt.ts';
import { poll, type Look } from '../../door/polling.ts';
import { createProgress } from '../../door/progress.ts';
import { assertReserved } from '../../pool-folder/presence.ts';
import { stagedFile } from '../../pool-folder/reservation.ts';
import type { HostDeps } from '../deps.ts';
import { creationId, stateOf } from './copying-state.ts';
import { createPauses } from './job-pauses.ts';

/**
 * Creates the target unless this daemon has: another daemon's is emptied and recreated. Only for
 * a volume whose copy does not run. Waits while there is no space for it. @returns null when it is
 * there, else QEMU's words.
 */
export async function createTarget(
  deps: HostDeps,
  job: VolumeJob,
  show: Show,
): Promise<string | null> {
  const { plan, jobId, at } = job;
  const { name, convert } = plan.volumes[at] as ImageVolume & { convert: Conversion };
  const part = stagedFile(plan.to.folder, jobId, name, 'part');
  const creation = { job, convert, show, part, state: stateOf(deps, jobId), id: creationId(job) };
  for (;;) {
    const refusal = await create(deps, creation);
    if (refusal !== null) return refusal;
    const error = await untilCreated(creation);
    if (error === null) return null;
    await dismissJob(creation.state, creation.id);
    if (!/No space left on device/.test(error)) return `QEMU could not create ${part}: ${error}`;
    await untilSpace(creation);
  }
}

/** What the creation of one target is about. */
interface Creation {
  job: VolumeJob;
  convert: Conversion;
  show: Show;
  part: string;
  state: string;
  /** Name of the job in the daemon. */
  id: string;
}

/** @returns QEMU's words when it does not even begin */
async function create(deps: HostDeps, { state, id, part, convert }: Creation) {
  if (await observeCopy(state, id)) return null;
  try {
    await deps.effect('image.create-target', part, async () => {
      if (await observeCopy(state, id)) return;
      await resetFile(part, 0);
      await startCreation(state, id, part, convert);
    });
    return null;
  } catch (error) {
    if (!(error instanceof QmpError)) throw error;
    return `QEMU refuses to create ${part}: ${error.message}`;
  }
}

function untilCreated({ state, id, convert, show }: Creation): Promise<string | null> {
  const pauseAfter = createPauses();
  const note = `creating the empty image, preallocation ${convert.preallocation}`;
  const look = async (): Promise<Look<string | null>> => {
    const job = await observeCopy(state, id);
    if (!job) throw new Error('the daemon that creates the copy died; it is started again');
    if (job.status === 'concluded') return { end: job.error };
    return { shown: { ...nothingDone(convert), note }, pauseMs: pauseAfter(job) };
  };
  return poll(look, show);
}

const nothingDone = ({ virtualSizeBytes: totalBytes }: Conversion) =>
  createProgress('creating').add({ atMs: Date.now(), copiedBytes: 0, totalBytes });

/** Without preallocation only tables are written, a thousandth of the size at most. */
const METADATA_PART = 1000;

const LOOK_EVERY_MS = 1000;

/** What is there is given back by the next attempt; until then it counts as free. */
function untilSpace({ job, convert, show, part }: Creation): Promise<void> {
  const { to } = job.plan;
  const { preallocation, virtualSizeBytes: size } = convert;
  const isReserved = preallocation === 'falloc' || preallocation === 'full';
  const neededBytes = isReserved ? size : size / METADATA_PART;
  const look = async (): Promise<Look<undefined>> => {
    await assertReserved(job, `waiting for space in pool ${to.pool}`);
    const [{ freeBytes }, file] = await Promise.all([observeSpace(to.folder), observeFile(part)]);
    const missing = neededBytes - freeBytes - (file?.allocatedBytes ?? 0);
    if (missing <= 0) return { end: undefined };
    const note = `waiting for space in pool ${to.pool}: ${sizeWords(missing)} are missing`;
    return { shown: { ...nothingDone(convert), note }, pauseMs: LOOK_EVERY_MS };
  };
  return poll(look, show);
}
