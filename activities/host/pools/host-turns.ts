/** The turns of a host: its copies, those into one pool, and its merges. */
import { basename, join } from 'node:path';
import { copierState, runningCopies } from '../../adapters/copying-daemon/daemon.ts';
import { listFolder } from '../../adapters/files/files.ts';
import { asking } from '../../adapters/process/asking.ts';
import { lockOf } from '../../adapters/process/detached.ts';
import { isLocked } from '../../adapters/process/file-lock.ts';
import { coldCommitState } from '../../adapters/qemu-img/cold-commit.ts';
import { createTurns, type Turns, type Work } from '../../door/turns.ts';
import { readLimits } from '../../pool-folder/limits.ts';

interface Folders {
  runtimeDir: string;
  stateDir: string;
}

const [COPIES, MERGES, INTO] = ['copies', 'merges', 'copies into pool '];

/** By the name of its state files, by which it is found after the agent's death. */
export const copyWork = ({ runtimeDir }: Folders, jobId: string, pool: string): Work => ({
  id: basename(copierState(runtimeDir, jobId)),
  takes: [COPIES, `${INTO}${pool}`],
});
export const mergeWork = ({ runtimeDir }: Folders, jobId: string): Work => ({
  id: basename(coldCommitState(runtimeDir, jobId)),
  takes: [MERGES],
});

/** Follows a job that has its turn until it is READY, or gone. One that is outrun keeps it. */
export async function inTurnUntilReady<T extends { outcome: string }>(
  turns: Turns,
  work: Work,
  follow: () => Promise<T>,
): Promise<T> {
  let seen: T | null = null;
  try {
    seen = await turns.during(work, follow);
    return seen;
  } finally {
    if (seen?.outcome !== 'not-converging') turns.giveBack(work.id);
  }
}

/**
 * Why a merge that had to wait for its turn, which it has now, is planned again: meanwhile a person
 * may have taken a snapshot, or made a clone of what it would write to.
 */
export const OLD_PLAN = 'it has waited for its turn, so it is planned again';

export function createHostTurns({ runtimeDir, stateDir }: Folders): Turns {
  const runs = async (id: string) => {
    const state = join(runtimeDir, id);
    if (!(await isLocked(lockOf(state)))) return false;
    if (!isCopy(id)) return true;
    // A daemon may hold an image without copying it (any more).
    const copies = asking(`what the daemon of ${id} copies`, () => runningCopies(state));
    // One that does not answer may copy, and takes no turn from others by that.
    return copies.then(
      ({ length }) => length > 0,
      () => true,
    );
  };
  return createTurns({
    runs,
    async limits() {
      const { copies, merges, pools } = await readLimits(stateDir);
      return (taken) =>
        ({ [COPIES]: copies, [MERGES]: merges })[taken] ?? pools[taken.slice(INTO.length)] ?? 0;
    },
    async found() {
      const work: Work[] = [];
      for (const name of await listFolder(runtimeDir)) {
        const id = /^((?:copy|commit)-[-0-9a-f]+)\.lock$/.exec(name)?.[1];
        if (id && (await runs(id))) work.push({ id, takes: [isCopy(id) ? COPIES : MERGES] });
      }
      return work;
    },
  });
}

const isCopy = (id: string) => id.startsWith('copy-');
