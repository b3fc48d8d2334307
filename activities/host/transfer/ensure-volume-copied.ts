/**
 * Copies one volume to its reserved name, its container byte for byte or what a guest reads in it,
 * and makes the copy durable.
 */
import type { InputOf } from '../../../workflows/operation/activities.ts';
import type { transferOnHost, CopyOutcome } from '../../../workflows/transfer/activities.ts';
import { Context } from '@temporalio/activity';
import type { ImagePlan, ImageVolume } from '../../../workflows/transfer/plan.ts';
import {
  COPY_UNIT,
  dismissCopy,
  dismissJob,
  endCopy,
  removeNodes,
  resumeCopy,
  setCopySpeed,
  startCopy,
} from '../../adapters/copying-daemon/mirror.ts';
import { observeFile, observeSpace, renameDurably } from '../../adapters/files/files.ts';
import { observeCopy, type CopyJob } from '../../adapters/copying-daemon/daemon.ts';
import { completeCopy, resetFile } from '../../adapters/files/complete-copy.ts';
import { reflink } from '../../adapters/files/reflink.ts';
import { stagedFile } from '../../pool-folder/reservation.ts';
import { QmpError } from '../../adapters/copying-daemon/qmp.ts';
import type { Show } from '../../door/attempt.ts';
import { assertReserved } from '../../pool-folder/presence.ts';
import { bytesBefore, createProgress } from '../../door/progress.ts';
import type { HostDeps } from '../deps.ts';
import { ensureImageHeld } from './ensure-image-held.ts';
import { stateOf, wantedRate } from './copying-state.ts';
import { copyId, createTarget, creationId } from './ensure-volume-created.ts';
import { createPauses } from './job-pauses.ts';

type Input = InputOf<typeof transferOnHost, 'ensureVolumeCopied'>;

/** With less free than this a resumed copy would only pause again. */
const WORTH_RESUMING_BYTES = 4 * 2 ** 20;
const SPACE_AGAIN_MS = 1000;

/** What one volume's copy is about. */
interface Copying {
  input: Input;
  volume: ImageVolume;
  /** Name of the job in the daemon; one for each volume, since an ended one may still be there. */
  id: string;
  state: string;
  part: string;
  done: string;
  show: Show;
}

/**
 * Starts the copy, or finds the one that an earlier life of the agent started, and follows it to
 * its end. A file that has the next stage's name is complete, whoever made it.
 */
export async function ensureVolumeCopied(
  deps: HostDeps,
  input: Input,
  show: Show,
): Promise<CopyOutcome> {
  const { plan, jobId, at } = input;
  const volume = plan.volumes[at] as ImageVolume;
  const staged = (stage: 'part' | 'copied' | 'ready') =>
    stagedFile(plan.to.folder, jobId, volume.name, stage);
  const copying: Copying = {
    input,
    volume,
    id: copyId(input),
    state: stateOf(deps, jobId),
    part: staged('part'),
    done: staged(input.verify === 'full' ? 'copied' : 'ready'),
    show,
  };
  // The hold proves that the copy is one of what the source is now, also when an earlier run made
  // it.
  const held = await ensureImageHeld(deps, input);
  if (held.outcome !== 'held') return held;
  await assertReserved(input, `copying ${volume.path}`);
  if ((await observeFile(staged('copied'))) || (await observeFile(staged('ready')))) {
    await dismissCopy(copying.state, copying.id);
    return { outcome: 'copied', by: 'earlier run' };
  }
  if (await observeCopy(copying.state, copying.id)) {
    // The limit that it has may be that of an earlier run.
    await limit(deps, copying, null);
  } else {
    if (await shareData(deps, copying)) {
      const lost = await complete(deps, { ...copying, done: staged('ready') }, volume.sizeBytes);
      return lost === null ? { outcome: 'copied', by: 'reflink' } : giveUp(input, lost);
    }
    const refusal = await start(deps, copying);
    if (refusal) return refusal;
  }
  const ended = await follow(deps, copying);
  await removeNodes(copying.state, copying.id);
  const lost =
    ended === null
      ? await complete(deps, copying, mirrored(volume))
      : `QEMU ended the copy of ${volume.path}: ${ended}`;
  await dismissJob(copying.state, copying.id);
  if (volume.convert) await dismissJob(copying.state, creationId(input));
  return lost === null ? { outcome: 'copied', by: 'mirror' } : giveUp(input, lost);
}

/** A target that went away is an error, too: then there is no copy, and it begins anew. */
async function giveUp(input: Input, reason: string): Promise<CopyOutcome> {
  await assertReserved(input, `copying ${input.plan.volumes[input.at]?.path}`);
  return { outcome: 'failed', reason };
}

/** A container that is written anew shares nothing with its source. */
const shareData = async (deps: HostDeps, { volume, part }: Copying): Promise<boolean> =>
  !volume.convert && (await deps.effect('image.reflink', part, () => reflink(volume.path, part)));

/** What the mirror copies of a container; the rest, less than a unit, is written by hand. */
const mirrored = ({ sizeBytes }: ImageVolume) => sizeBytes - (sizeBytes % COPY_UNIT);
/** A file that is shorter than a unit needs no mirror. */
const needsMirror = (volume: ImageVolume) => volume.convert !== null || mirrored(volume) > 0;

async function start(deps: HostDeps, copying: Copying): Promise<CopyOutcome | null> {
  const { volume, part, id, state } = copying;
  if (!needsMirror(volume)) return null;
  const { convert, sizeBytes, format } = volume;
  const bandwidthBytesPerSecond = await rateOf(copying);
  const what = convert ? { ...convert, from: format } : { bytes: mirrored(volume) };
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
    // Told meanwhile: whoever told it found no job.
    await limit(deps, copying, bandwidthBytesPerSecond);
    return null;
  } catch (error) {
    if (!(error instanceof QmpError)) throw error;
    return { outcome: 'failed', reason: `QEMU refuses to copy ${volume.path}: ${error.message}` };
  }
}

const rateOf = ({ state, input }: Copying) => wantedRate(state, input.bandwidthBytesPerSecond);

/** @param current limit of the job, null when nobody knows it */
async function limit(deps: HostDeps, copying: Copying, current: number | null): Promise<void> {
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
async function follow(deps: HostDeps, copying: Copying): Promise<string | null> {
  const { volume, state, id, show } = copying;
  if (!needsMirror(volume)) return null;
  const context = Context.current();
  const progress = createProgress('copying');
  const pause = createPauses();
  const { plan } = copying.input;
  const before = bytesBefore(copying.input);
  for (;;) {
    const job = await observeCopy(state, id);
    if (!job) throw new Error(`the daemon that copies ${volume.path} died; it is started again`);
    if (job.status === 'concluded') return job.error;
    await assertReserved(copying.input, `copying ${volume.path}`);
    // A mirror through a format counts only what is allocated in the source.
    const totalBytes = volume.convert ? job.totalBytes : plan.totalBytes;
    const copiedBytes = Math.min(totalBytes, before + job.copiedBytes);
    const now = progress.add({ atMs: Date.now(), copiedBytes, totalBytes });
    show({ ...now, volume: volume.path, note: await advance(deps, copying, job) });
    await context.sleep(pause(job));
  }
}

/**
 * READY is ended, a pause for lack of space is, too, once there is some. @returns what it waits
 * for.
 */
async function advance(deps: HostDeps, copying: Copying, job: CopyJob): Promise<string | null> {
  const { state, id, part, input } = copying;
  if (job.status === 'ready') {
    await deps.effect('image.end-copy', part, () => endCopy(state, id));
  } else if (job.noSpace) {
    const { freeBytes } = await observeSpace(input.plan.to.folder);
    const left = job.totalBytes - job.copiedBytes;
    if (freeBytes >= Math.min(left, WORTH_RESUMING_BYTES)) {
      await deps.effect('image.resume-copy', part, () => resumeCopy(state, id));
    }
    return spaceWords(input.plan.to, freeBytes);
  }
  return null;
}

/**
 * A flush that failed is not tried again: Linux tells an error once, and what was not written is
 * lost, whatever the next flush says. @returns null when the copy is durable, else why it is none.
 */
async function complete(
  deps: HostDeps,
  copying: Copying,
  copiedBytes: number,
): Promise<string | null> {
  const { volume, part, done, show } = copying;
  const durably = async () => {
    // Another attempt has done it meanwhile.
    if (await observeFile(done)) return true;
    const lengths = volume.convert ? null : { copiedBytes, sizeBytes: volume.sizeBytes };
    if (!(await completeCopy(volume.path, part, lengths))) return false;
    await renameDurably(part, done);
    return true;
  };
  try {
    while (!(await deps.effect('image.complete-copy', part, durably))) {
      show({ phase: 'copying', note: await waitingForSpace(copying) });
      await Context.current().sleep(SPACE_AGAIN_MS);
    }
    return null;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    // Another attempt flushed it and gave it its next name, while this one was about to.
    if (code === 'ENOENT' && (await observeFile(done))) return null;
    return `the copy of ${volume.path} could not be completed: ${message}`;
  }
}

async function waitingForSpace({ input, volume }: Copying): Promise<string> {
  const { to } = input.plan;
  await assertReserved(input, `completing the copy of ${volume.path}`);
  return spaceWords(to, (await observeSpace(to.folder)).freeBytes);
}

const spaceWords = ({ pool }: ImagePlan['to'], freeBytes: number) =>
  `waiting for space in pool ${pool}: ${freeBytes} bytes are free`;
