/**
 * Changes of the snapshot records of one VM, one after the other: each reads a whole document,
 * changes it and writes it back, so of two at once one would bring back what the other took out.
 */
const last = new Map<string, Promise<unknown>>();

/** Runs the change when those of this VM that were asked for before it have ended. */
export async function inTurn<T>(vmUuid: string, change: () => Promise<T>): Promise<T> {
  const before = last.get(vmUuid) ?? Promise.resolve();
  const own = before.catch(() => undefined).then(change);
  last.set(vmUuid, own);
  try {
    return await own;
  } finally {
    if (last.get(vmUuid) === own) last.delete(vmUuid);
  }
}
