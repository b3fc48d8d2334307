/**
 * Which hosts share a pool. Each host agent leaves its host's name in `POOL/.blockflow/hosts/`, and
 * no agent removes it: a host that is down may still have VMs on the pool. When you retire
 * a host, remove its file.
 */
import { join } from 'node:path';
import { hostName } from '../../workflows/operation/names.ts';
import { listFolder, observeFile, syncPath, createFile } from '../adapters/files/files.ts';
import { ensureOwnedFolder } from '../adapters/files/owned-folder.ts';
import { ensureOwnFolder, OWN_FOLDER } from './own-folder.ts';

const hostsFolder = (poolFolder: string) => join(poolFolder, OWN_FOLDER, 'hosts');

/** Durable when it returns. Nothing happens when the name is there. */
export async function registerHost(poolFolder: string, host: string): Promise<void> {
  const folder = hostsFolder(poolFolder);
  const file = join(folder, host);
  if (await observeFile(file)) return;
  await ensureOwnFolder(poolFolder);
  await ensureOwnedFolder(folder, 0o700);
  await createFile(file);
  await syncPath(folder);
}

/** The hosts that have or had this pool. */
export async function observeHosts(poolFolder: string): Promise<string[]> {
  const names = await listFolder(hostsFolder(poolFolder));
  // On NFS a file that is removed while it is open leaves another name for a while.
  return names.filter((name) => hostName.safeParse(name).success).sort();
}
