/**
 * Copies one volume to its reserved name, its container byte for byte or what a guest reads in it,
 * and makes the copy durable.
 */
import type { InputOf } from '../../../workflows/operation/activities.ts';
import type { CopyOutcome, transferOnHost } from '../../../workflows/transfer/activities.ts';
import type { ImageVolume } from '../../../workflows/transfer/plan.ts';
import { observeCopy } from '../../adapters/copying-daemon/daemon.ts';
import { dismissCopy, dismissJob, removeNodes } from '../../adapters/copying-daemon/mirror.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { reflink } from '../../adapters/files/reflink.ts';
import type { Show } from '../../door/attempt.ts';
import { assertReserved } from '../../pool-folder/presence.ts';
import { stagedFile } from '../../pool-folder/reservation.ts';
import type { HostDeps } from '../deps.ts';
import { completeDurably } from './complete-durably.ts';
import { copyId, creationId, stateOf } from './copying-state.ts';
import { ensureImageHeld } from './ensure-image-held.ts';
import { followMirror, limitMirror, mirroredBytes, startMirror } from './mirror-volume.ts';

type Input = InputOf<typeof transferOnHost, 'ensureVolumeCopied'>;

/** What one volume's copy is about. */
export interface Copying {
  input: Input;
  volume: ImageVolume;
  /** Name of the job in the daemon; one for each volume, since an ended one may still be there. */
  id: string;
  state: string;
  /** Its names by stage, from one to the next. */
  part: string;
  copied: string;
  ready: string;
  show: Show;
}

/**
 * Starts the copy, or finds the one that an earlier life of the agent started, and follows it to
 * its end. A file that has the next stage's name is complete, from any run.
 */
export async function ensureVolumeCopied(
  deps: HostDeps,
  input: Input,
  show: Show,
): Promise<CopyOutcome> {
  const copying = toCopying(deps, input, show);
  const { volume } = copying;
  // The hold proves that the copy is one of what the source is now, also when an earlier run made
  // it.
  const held = await ensureImageHeld(deps, input);
  if (held.outcome !== 'held') return held;
  await assertReserved(input, `copying ${volume.path}`);
  switch (await howFar(copying)) {
    case 'complete':
      await dismissCopy(copying.state, copying.id);
      return { outcome: 'copied', by: 'earlier run' };
    case 'under way':
      // The limit that it has may be that of an earlier run.
      await limitMirror(deps, copying, null);
      return mirrorToItsEnd(deps, copying);
    case 'not begun':
      if (await shareData(deps, copying)) {
        const failure = await completeDurably(deps, copying, copying.ready, volume.sizeBytes);
        return outcomeOf(copying, 'reflink', failure);
      }
      return (await startMirror(deps, copying)) ?? mirrorToItsEnd(deps, copying);
  }
}

function toCopying(deps: HostDeps, input: Input, show: Show): Copying {
  const { plan, jobId, at } = input;
  const volume = plan.volumes[at] as ImageVolume;
  const staged = (stage: 'part' | 'copied' | 'ready') =>
    stagedFile(plan.to.folder, jobId, volume.name, stage);
  return {
    input,
    volume,
    id: copyId(input),
    state: stateOf(deps, jobId),
    part: staged('part'),
    copied: staged('copied'),
    ready: staged('ready'),
    show,
  };
}

/** What the disk and the daemon say of the copy; `under way` also when its job has just ended. */
async function howFar({
  state,
  id,
  copied,
  ready,
}: Copying): Promise<'complete' | 'under way' | 'not begun'> {
  if ((await observeFile(copied)) || (await observeFile(ready))) return 'complete';
  return (await observeCopy(state, id)) ? 'under way' : 'not begun';
}

/** A new container shares nothing with its source. */
const shareData = async (deps: HostDeps, { volume, part }: Copying): Promise<boolean> =>
  !volume.convert && (await deps.effect('image.reflink', part, () => reflink(volume.path, part)));

/** What a job has copied gets its next name before the daemon forgets the job. */
async function mirrorToItsEnd(deps: HostDeps, copying: Copying): Promise<CopyOutcome> {
  const { volume, input, state, id, copied, ready } = copying;
  const refusal = await followMirror(deps, copying);
  await removeNodes(state, id);
  const next = input.verify === 'full' ? copied : ready;
  const failure =
    refusal === null
      ? await completeDurably(deps, copying, next, mirroredBytes(volume))
      : `QEMU ended the copy of ${volume.path}: ${refusal}`;
  await dismissJob(state, id);
  if (volume.convert) await dismissJob(state, creationId(input));
  return outcomeOf(copying, 'mirror', failure);
}

/**
 * A target that became unavailable is an error, too: then there is no copy, and it begins again.
 */
async function outcomeOf(
  { input, volume }: Copying,
  by: 'mirror' | 'reflink',
  failure: string | null,
): Promise<CopyOutcome> {
  if (failure === null) return { outcome: 'copied', by };
  await assertReserved(input, `copying ${volume.path}`);
  return { outcome: 'failed', reason: failure };
}
