/** File systems of a test's own: small enough to fill, or with reflinks. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { isAlive, startTimeOf } from './processes.ts';

/** Its folders say whose they are, as those of private hosts: <pid>-<start time>-<number>. */
const PARENT = '/tmp/blockflow-test-mounts';
const MIB = 2 ** 20;
let count = 0;

export interface OwnMount {
  path: string;
  close(): Promise<void>;
}

/**
 * Mounts before a private host is started, so that both see it. Removes first what killed runs have
 * left.
 * @param kind xfs has reflinks, and takes at least 300 MiB
 */
export async function mountOwn(
  kind: 'tmpfs' | 'ext4' | 'xfs',
  mebibytes: number,
): Promise<OwnMount> {
  await removeStale();
  const folder = join(PARENT, `${process.pid}-${startTimeOf(process.pid)}-${++count}`);
  const path = join(folder, 'fs');
  await mkdir(path, { recursive: true });
  try {
    if (kind === 'tmpfs') {
      await execa('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}M`, 'tmpfs', path]);
    } else {
      const image = join(folder, 'image');
      await writeFile(image, '');
      await truncate(image, mebibytes * MIB);
      const options = { xfs: ['-m', 'reflink=1'], ext4: ['-m', '0'] }[kind];
      await execa(`mkfs.${kind}`, ['-q', ...options, image]);
      await execa('mount', ['-o', 'loop', image, path]);
    }
  } catch (error) {
    await remove(folder);
    throw error;
  }
  return { path, close: () => remove(folder) };
}

async function removeStale(): Promise<void> {
  const folders = existsSync(PARENT) ? await readdir(PARENT) : [];
  for (const name of folders) {
    const [pid = 0, startTime = 0] = name.split('-').map(Number);
    if (!isAlive(pid, startTime)) await remove(join(PARENT, name));
  }
}

async function remove(folder: string): Promise<void> {
  // Lazily: a killed run may have left processes that are just being ended.
  await execa('umount', ['--lazy', join(folder, 'fs')], { reject: false });
  await rm(folder, { recursive: true, force: true });
}
