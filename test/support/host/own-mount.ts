/** File systems of a test's own: small enough to fill, or with reflinks. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { isAlive, startTimeOf } from './processes.ts';

/** Its folders say whose they are, as those of private hosts: <pid>-<start time>-<random>. */
const PARENT = '/tmp/blockflow-test-mounts';
const MIB = 2 ** 20;

export interface OwnMount {
  path: string;
  /**
   * Who writes stands still from now on, as with a server that is unavailable; returns what ends
   * that. It ends with this process, too: a process that waits for such a file could not be killed.
   */
  freeze(): Promise<() => Promise<void>>;
  /** As a reboot does it: the same file system, with another device number. Of ext4 and xfs. */
  remount(): Promise<void>;
  /**
   * What its disk would have after a power cut now, on a mount of its own: what was not
   * flushed is not in it, unless the kernel has written it by itself. Of ext4 and xfs.
   */
  afterPowerCut(): Promise<{ path: string; close(): Promise<void> }>;
  close(): Promise<void>;
}

/**
 * Mounts before a private host is started, so that both see it. Removes first what killed runs have
 * left.
 * @param kind xfs has reflinks, and takes at least 300 MiB; in ext2 a file has at most 16 GiB;
 *   ramfs has no O_DIRECT, and calls itself full
 */
export async function mountOwn(
  kind: 'ramfs' | 'tmpfs' | 'ext2' | 'ext4' | 'xfs',
  mebibytes: number,
): Promise<OwnMount> {
  const folder = await makeMountFolder();
  const path = join(folder, 'fs');
  await mkdir(path);
  try {
    if (kind === 'tmpfs' || kind === 'ramfs') {
      await execa('mount', ['-t', kind, '-o', `size=${mebibytes}M`, kind, path]);
    } else {
      const image = join(folder, 'image');
      await writeFile(image, '');
      await truncate(image, mebibytes * MIB);
      const options = {
        xfs: ['-m', 'reflink=1'],
        ext4: ['-m', '0'],
        ext2: ['-m', '0', '-b', '1024'],
      }[kind];
      await execa(`mkfs.${kind}`, ['-q', ...options, image]);
      await execa('mount', ['-o', 'loop', image, path]);
      // As other kinds are: nothing is in it.
      await rm(join(path, 'lost+found'), { recursive: true, force: true });
    }
  } catch (error) {
    await removeMountFolder(folder);
    throw error;
  }
  return {
    path,
    freeze: () => freeze(path),
    remount: () => remount(folder),
    afterPowerCut: () => afterPowerCut(join(folder, 'image')),
    close: () => removeMountFolder(folder),
  };
}

/** A folder of this process. Removes first what killed runs have left. */
export async function makeMountFolder(): Promise<string> {
  await removeStale();
  const own = `${process.pid}-${startTimeOf(process.pid)}`;
  // Another test file of this process may have left one.
  const folder = join(PARENT, `${own}-${randomBytes(4).toString('hex')}`);
  await mkdir(folder, { recursive: true });
  return folder;
}

/** The end of the shell's standard input thaws. */
async function freeze(path: string): Promise<() => Promise<void>> {
  const hold = 'fsfreeze --freeze "$0" && echo frozen && cat; fsfreeze --unfreeze "$0"';
  const shell = execa('sh', ['-c', hold, path], { stdin: 'pipe', buffer: false });
  const ended = (async () => void (await shell))();
  await Promise.race([once(shell.stdout, 'data'), ended]);
  return async () => {
    shell.stdin.end();
    await ended;
  };
}

async function remount(folder: string): Promise<void> {
  const [image, path] = [join(folder, 'image'), join(folder, 'fs')];
  // Before the old device is free again.
  const { stdout: device } = await execa('losetup', ['--find', '--show', image]);
  await execa('umount', [path]);
  await execa('mount', [device, path]);
  // It goes with the mount.
  await execa('losetup', ['--detach', device]);
}

async function afterPowerCut(image: string) {
  const folder = await makeMountFolder();
  const [copy, path] = [join(folder, 'image'), join(folder, 'fs')];
  await mkdir(path);
  await copyFile(image, copy);
  await execa('mount', ['-o', 'loop', copy, path]);
  return { path, close: () => removeMountFolder(folder) };
}

async function removeStale(): Promise<void> {
  const folders = existsSync(PARENT) ? await readdir(PARENT) : [];
  for (const name of folders) {
    const [pid = 0, startTime = 0] = name.split('-').map(Number);
    if (!isAlive(pid, startTime)) await removeMountFolder(join(PARENT, name));
  }
}

/** @param end what stands below the file system, which is unmounted first */
export async function removeMountFolder(
  folder: string,
  end: () => PromiseLike<unknown> = () => Promise.resolve(),
): Promise<void> {
  const unmount = (name: string) =>
    // Lazily: a killed run may have left processes that are just being ended.
    execa('umount', ['--lazy', join(folder, name)], { reject: false });
  await unmount('fs');
  await end();
  await unmount('device');
  await rm(folder, { recursive: true, force: true });
}
