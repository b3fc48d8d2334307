/**
 * Whether libvirt and this process see the same files. A connection to another machine, or to a
 * daemon with mounts of its own, has files of the same names: local ones would be changed and
 * deleted for a record that is elsewhere.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listFolder, nullIfMissing } from '../adapters/files/files.ts';
import { ensureOwnFolder, OWN_FOLDER } from './own-folder.ts';

/** What libvirt says of an empty file. */
export interface FileSight {
  isSeen: boolean;
  /** libvirt's own words. */
  words: string;
}
interface Seeing {
  uri: string;
  sightOf(emptyFile: string): Promise<FileSight>;
}

const probesIn = (poolFolder: string) => join(poolFolder, OWN_FOLDER, 'probes');

/**
 * Makes a file of a random name in the pool's folder, asks libvirt for it, and
 * removes it. Names, URIs and copies of the pool prove nothing.
 * @returns null when libvirt sees this machine's folder; else what it says instead
 * @throws of the file system
 */
export async function otherMachine(libvirt: Seeing, folder: string): Promise<string | null> {
  await ensureOwnFolder(folder);
  await mkdir(probesIn(folder), { recursive: true });
  const probe = join(probesIn(folder), randomUUID());
  try {
    await writeFile(probe, '', { mode: 0o600, flag: 'wx' });
    const { isSeen, words } = await libvirt.sightOf(probe);
    if (isSeen) return null;
    const where = `${folder} (${words})`;
    return `libvirt at ${libvirt.uri} does not see the files of this machine in ${where}`;
  } finally {
    await unlink(probe).catch(nullIfMissing);
  }
}

export const RUN_IT_THERE =
  'That libvirt is on another machine, or has mounts of its own: run the agents where it runs';

const AN_HOUR_MS = 3_600_000;

/** What killed agents have left; agents of other hosts may be asking just now. */
export async function removeStaleProbes(folder: string): Promise<void> {
  for (const name of await listFolder(probesIn(folder))) {
    const probe = join(probesIn(folder), name);
    const facts = await stat(probe).catch(nullIfMissing);
    const isOld = facts !== null && Date.now() - facts.mtimeMs > AN_HOUR_MS;
    if (isOld) await unlink(probe).catch(nullIfMissing);
  }
}
