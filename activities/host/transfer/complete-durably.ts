/** The last step of a copy: whole, flushed, and under the name of its next stage. */
import { completeCopy } from '../../adapters/files/complete-copy.ts';
import { observeFile, observeSpace, renameOnce } from '../../adapters/files/files.ts';
import { isToolFailure } from '../../adapters/process/command.ts';
import { poll } from '../../door/polling.ts';
import { assertReserved } from '../../pool-folder/presence.ts';
import type { HostDeps } from '../deps.ts';
import type { Copying } from './ensure-volume-copied.ts';
import { spaceWords } from './space-words.ts';

const SPACE_AGAIN_MS = 1000;

/**
 * A flush that failed is not tried again: Linux tells an error once, and what was not written is
 * lost, whatever the next flush says.
 * @param next the name that it gets
 * @param copiedBytes what a container's copy has of its source
 * @returns null when the copy is durable, else why it is none
 */
export async function completeDurably(
  deps: HostDeps,
  copying: Copying,
  next: string,
  copiedBytes: number,
): Promise<string | null> {
  const { volume, part, show } = copying;
  const durably = async () => {
    // Another attempt has done it meanwhile.
    if (await observeFile(next)) return true;
    const lengths = volume.convert ? null : { copiedBytes, sizeBytes: volume.sizeBytes };
    if (!(await completeCopy(volume.path, part, lengths))) return false;
    await renameOnce(part, next);
    return true;
  };
  const look = async () => {
    if (await deps.effect('image.complete-copy', part, durably)) return { end: null };
    const note = await waitingForSpace(copying);
    return { shown: { phase: 'copying', note }, pauseMs: SPACE_AGAIN_MS };
  };
  try {
    return await poll(look, show);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined && !isToolFailure(error)) throw error;
    // Another attempt flushed it and gave it its next name, while this one was about to.
    if ((code ?? 'ENOENT') === 'ENOENT' && (await observeFile(next))) return null;
    return `the copy of ${volume.path} could not be completed: ${message}`;
  }
}

async function waitingForSpace({ input, volume }: Copying): Promise<string> {
  const { to } = input.plan;
  await assertReserved(input, `completing the copy of ${volume.path}`);
  return spaceWords(to, (await observeSpace(to.folder)).freeBytes);
}
