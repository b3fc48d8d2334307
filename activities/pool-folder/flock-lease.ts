/**
 * Leases of file pools: a lock on `POOL/.blockflow/lease`, and in it who holds it. On NFS the
 * server keeps the lock (NFSv4).
 */
import { readFile, stat, type FileHandle } from '../adapters/files/calls.ts';
import { join } from 'node:path';
import { z } from 'zod';
import type { Lease, LeaseRecord } from './lease.ts';
import { ownFailure } from '../../workflows/operation/failures.ts';
import { isLocked, lockFile } from '../adapters/process/file-lock.ts';
import { nullIfMissing } from '../adapters/files/paths.ts';
import { ensureOwnFolder, OWN_FOLDER } from './own-folder.ts';

export const leaseFile = (poolFolder: string) => join(poolFolder, OWN_FOLDER, 'lease');

const record = z.object({
  version: z.int().positive(),
  holder: z.string(),
  since: z.string(),
}) satisfies z.ZodType<LeaseRecord>;

/** One sector, written at once: a crash leaves the old record or the new one. */
const RECORD_BYTES = 512;

interface Wanted {
  pool: string;
  folder: string;
  holder: string;
}

/**
 * Waits for the lease, without a limit.
 * @returns null when the wait was ended
 * @throws what the file system says, for example EROFS; an Error about a record that is not one
 */
export async function acquireFlockLease(wanted: Wanted, until: AbortSignal): Promise<Lease | null> {
  await ensureOwnFolder(wanted.folder);
  const path = leaseFile(wanted.folder);
  const file = await lockFile(path, { until });
  if (!file) return null;
  try {
    const version = (await readRecord(path))?.version ?? 0;
    const { pool, holder } = wanted;
    const own = { version: version + 1, holder, since: new Date().toISOString() };
    await file.write(JSON.stringify(own).padEnd(RECORD_BYTES - 1) + '\n', 0);
    await file.sync();
    return held(pool, path, file, own);
  } catch (error) {
    await file.close();
    throw error;
  }
}

function held(pool: string, path: string, file: FileHandle, own: LeaseRecord): Lease {
  const lost = new AbortController();
  return {
    pool,
    record: own,
    lost: lost.signal,
    async lossNow() {
      const loss = lost.signal.aborted ? String(lost.signal.reason) : await lossOf(path, file, own);
      if (loss !== null && !lost.signal.aborted) lost.abort(loss);
      return loss;
    },
    release: () => file.close(),
  };
}

async function lossOf(path: string, file: FileHandle, own: LeaseRecord): Promise<string | null> {
  try {
    const [named, ours] = await Promise.all([stat(path), file.stat()]);
    if (named.dev !== ours.dev || named.ino !== ours.ino) return `${path} was replaced`;
    const now = await readRecord(path);
    if (now?.version === own.version && now.holder === own.holder) return null;
    return now ? `${now.holder} has version ${now.version}` : `${path} was emptied`;
  } catch (error) {
    if (ownFailure(error)) throw error;
    return (error as Error).message;
  }
}

/** The last holder's record; null when there was none. */
async function readRecord(path: string): Promise<LeaseRecord | null> {
  const text = await readFile(path, 'utf8');
  if (text === '') return null;
  try {
    return record.parse(JSON.parse(text));
  } catch {
    throw new Error(`${path} holds no record of a lease: remove it when no agent runs`);
  }
}

/** The record of a pool's lease, and whether an agent has it; null when no agent ever had it. */
export async function observeFlockLease(
  poolFolder: string,
): Promise<(LeaseRecord & { isHeld: boolean }) | null> {
  const path = leaseFile(poolFolder);
  const last = await readRecord(path).catch(nullIfMissing);
  return last && { ...last, isHeld: await isLocked(path) };
}
