/** How much an agent of this machine begins at once, shown and changed while it runs. */
import { readLimits, writeLimits, type Limits } from '../../activities/pool-folder/limits.ts';
import { stateDir } from '../environment/config.ts';

export interface Change {
  /** A kind of work, or the copies into one pool. */
  of: 'copies' | 'merges' | { pool: string };
  /** 0 for no limit. */
  count: number;
}

/** The limits after the change. @throws what the file system or the file says */
export async function changeLimits(change: Change | null): Promise<Limits> {
  const before = await readLimits(stateDir());
  if (!change) return before;
  const after = changed(before, change);
  await writeLimits(stateDir(), after);
  return after;
}

function changed(before: Limits, { of, count }: Change): Limits {
  if (typeof of === 'string') return { ...before, [of]: count };
  const { [of.pool]: _, ...others } = before.pools;
  return { ...before, pools: count === 0 ? others : { ...others, [of.pool]: count } };
}
