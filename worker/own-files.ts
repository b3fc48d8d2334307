/** What an agent makes is for its own user alone, whatever the umask of who starts it. */
import { mkdir, realpath } from 'node:fs/promises';
import { ensureOwnedFolder, withOwnedFolder } from '../activities/adapters/files/owned-folder.ts';
import type { WorkerConfig } from './environment/config.ts';

const OWNER_ONLY = 0o077;

/**
 * Before anything else is made. The folders are made, or taken from others who could read them.
 * @throws Hold `unproven` for a folder that another user may write in
 */
export async function keepOwnFiles({
  stateDir,
  runtimeDir,
}: Pick<WorkerConfig, 'stateDir' | 'runtimeDir'>): Promise<void> {
  process.umask(OWNER_ONLY);
  for (const folder of [stateDir, runtimeDir]) {
    await mkdir(folder, { recursive: true });
    const place = await realpath(folder);
    // What a link leads to may be for others, too: it is looked at, and left as it is.
    if (place === folder) await ensureOwnedFolder(folder, 0o700);
    else await withOwnedFolder(place, () => Promise.resolve());
  }
}
