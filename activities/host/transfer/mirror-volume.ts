/** The job of the daemon that copies one volume: its start, its limit, and its way to the end. */
import type { CopyOutcome } from '../../../workflows/transfer/activities.ts';
import type { ImageVolume } from '../../../workflows/transfer/plan.ts';
import { observeCopy, type CopyJob } from '../../adapters/copying-daemon/daemon.ts';
import {
  COPY_UNIT,
  endCopy,
  resumeCopy,
  setCopySpeed,
  startCopy,
} from '../../adapters/copying-daemon/mirror.ts';
import { QmpError } from '../../adapters/copying-daemon/qmp.ts';
import { resetFile } from '../../adapters/files/complete-copy.ts';
import { observeFile, observeSpace } from '../../adapters/files/files.ts';
import { poll, type Look } from '../../door/polling.ts';
import { createProgress } from '../../door/progress.ts';
import { assertReserved } from '../../pool-folder/presence.ts';
import type { HostDeps } from '../deps.ts';
import {
  bytesBefore,
  dataBytes,
  imageBytes,
  layersBelow,
  wantedRate,
  workOf,
} from './copying-state.ts';
import { createTarget } from './create-target.ts';
import type { Copying } from './ensure-volume-copied.ts';
import { createPauses } from './job-pauses.ts';
import { spaceWords } from './space-words.ts';

/** With less free than this a resumed copy would only pause again. */
const WORTH_RESUMING_BYTES = 4 * 2 ** 20;

/** What the mirror copies of a container; the rest, less than a unit, is written by hand. */
export const mirroredBytes = ({ sizeBytes }: ImageVolume) => sizeBytes - (sizeBytes % COPY_UNIT);
/** A file that is shorter than a unit needs no mirror. */
const needsMirror = (volume: ImageVolume) => volume.convert !== null || mirroredBytes(volume) > 0;

/** @returns the outcome when it does not even begin, null when it has begun */
export async function startMirror(deps: HostDeps, copying: Copying): Promise<CopyOutcome | null> {
  const { volume, part, id, state } = copying;
  if (!needsMirror(volume)) return null;
  const { convert, sizeBytes, format } = volume;
  const bandwidthBytesPerSecond = await rateOf(copying);
  const below = layersBelow(copying.input);
  const what = convert ? { ...convert, from: format, below } : { bytes: mirroredBytes(volume) };
  const uncreated = convert && (await createTarget(deps, copying.input, copying.show));
  if (uncreated) return { outcome: 'failed', reason: uncreated };
  try {
    await deps.effect('image.start-copy', part, async () => {
      // Emptying the target of a copy that runs would lose what it has copied.
      if (await observeCopy(state, id)) return;
      if ('bytes' in what) await resetFile(part, what.bytes);
      const files = { source: volume.path, target: part, sizeBytes };
      await startCopy(state, { id, ...files, what, bandwidthBytesPerSecond });
    });
    // The limit may have changed meanwhile, when there was no job to apply it to.
    await limitMirror(deps, copying, bandwidthBytesPerSecond);
    return null;
  } catch (error) {
    if (!(error instanceof QmpError)) throw error;
    return { outcome: 'failed', reason: `QEMU refuses to copy ${volume.path}: ${error.message}` };
  }
}

const rateOf = ({ state, input }: Copying) => wantedRate(state, input.bandwidthBytesPerSecond);

/** @param current limit of the job, null when it is unknown */
export async function limitMirror(
  deps: HostDeps,
  copying: Copying,
  current: number | null,
): Promise<void> {
  const rate = await rateOf(copying);
  if (rate === current) return;
  const { state, id, input } = copying;
  await deps.effect('image.set-copy-bandwidth', `${input.jobId} ${id}`, () =>
    setCopySpeed(state, id, rate),
  );
}

/**
 * Shows how far the copy is until it has ended.
 * @returns null when it is complete and flushed, else QEMU's words
 */
export async function followMirror(deps: HostDeps, copying: Copying): Promise<string | null> {
  const { volume, state, id, show, input } = copying;
  if (!needsMirror(volume)) return null;
  const progress = createProgress('copying');
  const pauseAfter = createPauses();
  const before = bytesBefore(input);
  const look = async (): Promise<Look<string | null>> => {
    const job = await observeCopy(state, id);
    if (!job) throw new Error(`the daemon that copies ${volume.path} died; it is started again`);
    if (job.status === 'concluded') return { end: job.error };
    await assertReserved(input, `copying ${volume.path}`);
    // A mirror through a format counts only what is allocated in the source.
    const totalBytes = volume.convert ? job.totalBytes : imageBytes(input);
    const copiedBytes = before + (await copiedBy(copying, job));
    const now = progress.add({
      atMs: Date.now(),
      copiedBytes: Math.min(totalBytes, copiedBytes),
      totalBytes,
    });
    const shown = { ...now, volume: volume.path, note: await advance(deps, copying, job) };
    return { shown, pauseMs: pauseAfter(job) };
  };
  return poll(look, show);
}

/** A mirror of a container counts its holes, through which it goes in no time. */
async function copiedBy({ volume, part }: Copying, job: CopyJob): Promise<number> {
  if (volume.convert) return job.copiedBytes;
  const whole = dataBytes(volume);
  if (job.status === 'ready') return whole;
  return Math.min(whole, (await observeFile(part))?.allocatedBytes ?? 0);
}

/**
 * READY is ended, a pause for lack of space is, too, once there is some. @returns what it waits
 * for.
 */
async function advance(deps: HostDeps, copying: Copying, job: CopyJob): Promise<string | null> {
  const { state, id, part, input } = copying;
  // The move that makes space may be one that waits for its turn.
  deps.turns.rest(workOf(deps, input).id, job.noSpace);
  if (job.status === 'ready') {
    await deps.effect('image.end-copy', part, () => endCopy(state, id));
  } else if (job.noSpace) {
    const { freeBytes } = await observeSpace(input.plan.to.folder);
    const remainingBytes = job.totalBytes - job.copiedBytes;
    if (freeBytes >= Math.min(remainingBytes, WORTH_RESUMING_BYTES)) {
      await deps.effect('image.resume-copy', part, () => resumeCopy(state, id));
    }
    return spaceWords(input.plan.to, freeBytes);
  }
  return null;
}
