/** Files for a moment, by which something is tried in a pool: `POOL/.blockflow/probes/`. */
import { randomUUID } from 'node:crypto';
import { stat, unlink, writeFile } from '../adapters/files/calls.ts';
import { join } from 'node:path';
import { listFolder } from '../adapters/files/files.ts';
import { nullIfMissing } from '../adapters/files/paths.ts';
import { ensureOwnedFolder } from '../adapters/files/owned-folder.ts';
import { ensureOwnFolder, OWN_FOLDER } from './own-folder.ts';

const probesIn = (poolFolder: string) => join(poolFolder, OWN_FOLDER, 'probes');

/**
 * Gives an empty file of a random name, which only its owner reads, and removes it after its use.
 * @throws of the file system; what `use` throws
 */
export async function withProbe<T>(
  poolFolder: string,
  use: (probe: string) => Promise<T>,
): Promise<T> {
  await ensureOwnFolder(poolFolder);
  await ensureOwnedFolder(probesIn(poolFolder), 0o700);
  const probe = join(probesIn(poolFolder), randomUUID());
  try {
    await writeFile(probe, '', { mode: 0o600, flag: 'wx' });
    return await use(probe);
  } finally {
    await unlink(probe).catch(nullIfMissing);
  }
}

/** As `withProbe`; null where the pool is full, which is waited for: then there is no probe. */
export const withProbeIfRoom = <T>(poolFolder: string, use: (probe: string) => Promise<T>) =>
  withProbe(poolFolder, use).catch((error: NodeJS.ErrnoException) => {
    if (isFull(error)) return null;
    throw error;
  });

/** True where no probe can be made for want of space, which there may be later. */
export const isFull = ({ code }: NodeJS.ErrnoException): boolean =>
  code === 'ENOSPC' || code === 'EDQUOT';

const AN_HOUR_MS = 3_600_000;

/** What killed agents have left; agents of other hosts may be asking just now. */
export async function removeStaleProbes(poolFolder: string): Promise<void> {
  for (const name of await listFolder(probesIn(poolFolder))) {
    const probe = join(probesIn(poolFolder), name);
    const facts = await stat(probe).catch(nullIfMissing);
    const isOld = facts !== null && Date.now() - facts.mtimeMs > AN_HOUR_MS;
    if (isOld) await unlink(probe).catch(nullIfMissing);
  }
}
