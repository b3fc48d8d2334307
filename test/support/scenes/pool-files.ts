/** What a pool's folder holds, in the eyes of a test. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { OWN_FOLDER } from '../../../activities/pool-folder/own-folder.ts';

/** The lease and the id of the pool, the names of its hosts, and what libvirt is asked for. */
const LASTING = new Set(['lease', 'id', 'hosts', 'probes']);

/** Sorted names, blockflow's own as `.blockflow/NAME`; without what always stays. */
export async function poolFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  const own = names.includes(OWN_FOLDER) ? await readdir(join(folder, OWN_FOLDER)) : [];
  return [
    ...names.filter((name) => name !== OWN_FOLDER),
    ...own.filter((name) => !LASTING.has(name)).map((name) => join(OWN_FOLDER, name)),
  ].sort();
}
