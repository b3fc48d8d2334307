/**
 * A file system whose disk answers with EIO when a test wants it: an ext4 on a loop device on a
 * file that qemu-storage-daemon exports by FUSE, with QEMU's blkdebug below. So it is the kernel
 * that reports the error, to each process that reads, writes or flushes a file there.
 */
import { mkdir, open, rmdir, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { qmp, type QmpCommand } from '../../../activities/adapters/copying-daemon/qmp.ts';
import { makeMountFolder, removeMountFolder } from '../host/own-mount.ts';
import { poolFiles } from '../scenes/pool-files.ts';
import { waitUntil } from '../wait-until.ts';

const SECTOR = 512;
const MIB = 2 ** 20;
const OFTEN = 200;

export interface DiskError {
  on: 'read' | 'write' | 'flush';
  /** A request must touch this sector of the disk; not of a flush. */
  sector?: number;
  once: boolean;
}

export interface FaultyMount {
  path: string;
  /** Its disk: a file of a file system that hangs too, even at a `stat` of what is held open. */
  device: string;
  /** The sector of the disk with this byte of a file. */
  sectorOf(file: string, atByte: number): Promise<number>;
  /** The one file in it with this name, which may have wildcards; empty when there is none. */
  find(name: string): Promise<string>;
  /** As after a reboot: what the disk does not have of the pool's files is gone. */
  forget(): Promise<void>;
  /** From now on the disk does not answer, until what is returned is called. */
  hang(): () => void;
  /** From now on requests fail. Returns what makes the disk answer as before. */
  fail(error: DiskError): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/**
 * Without a journal, whose first failed write would make all of it read-only; folders are in their
 * inodes, and all inodes at the beginning.
 */
const EXT4 = ['-q', '-m', '0', '-b', '4096', '-I', '1024', '-E', 'packed_meta_blocks=1'];
const FEATURES = ['-O', 'inline_data,^has_journal,^resize_inode'];

export async function mountFaulty(mebibytes: number): Promise<FaultyMount> {
  const folder = await makeMountFolder();
  const [path, device, disk] = ['fs', 'device', 'disk'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await mkdir(path);
  await writeFile(device, '');
  await writeFile(disk, '');
  await truncate(disk, mebibytes * MIB);
  const daemon = execa('setpriv', ['--pdeathsig', 'KILL', ...daemonOf(folder)], { reject: false });
  const ask = async (...commands: QmpCommand[]) => {
    if ((await qmp(join(folder, 'qmp'), commands)) === null) throw new Error('the disk is gone');
  };
  await waitUntil('the disk', async () => (await qmp(join(folder, 'qmp'), [])) !== null);
  await execa('mkfs.ext4', [...EXT4, ...FEATURES, device]);
  await readPagesAlone(device);
  const { stdout: loop } = await execa('losetup', ['--find', '--show', device]);
  await limitRequests(loop);
  await execa('mount', [loop, path]);
  // From now on the loop device goes with its mount.
  await execa('losetup', ['--detach', loop]);
  // As other kinds of mounts are: nothing is in it.
  await rmdir(join(path, 'lost+found'));
  let count = 0;
  return {
    path,
    device,
    sectorOf,
    find: async (name) => (await execa('find', [path, '-name', name])).stdout.trim(),
    async forget() {
      for (const name of await poolFiles(path)) await forgetCached(join(path, name));
    },
    hang() {
      daemon.kill('SIGSTOP');
      return () => void daemon.kill('SIGCONT');
    },
    async fail(error) {
      const name = `faulty${++count}`;
      await forgetCached(device);
      const image = { driver: 'blkdebug', 'node-name': name, image: 'disk' };
      await ask(add({ ...image, 'inject-error': rulesOf(error) }), readThrough(name));
      return async () => {
        // A change of the nodes flushes first.
        if (error.on === 'flush') await flushUntilWell(device);
        const remove = { execute: 'blockdev-del', arguments: { 'node-name': name } };
        await ask(readThrough('disk'), remove);
      };
    },
    async close() {
      await removeMountFolder(folder, () => {
        daemon.kill('SIGKILL');
        return daemon;
      });
    },
  };
}

/**
 * One request of the loop device is one of FUSE: of several the kernel would take an error for a
 * short answer, read the rest again, and take a short write for a whole one.
 */
const limitRequests = (loop: string) =>
  writeFile(`/sys/block/${basename(loop)}/queue/max_sectors_kb`, '64');

/**
 * Nothing is read ahead: QEMU 7.2.22 puts a request that comes while it writes into the buffer
 * that it writes from. The loop device asks for one thing after the other, as long as it does not
 * go past the cache.
 */
async function readPagesAlone(device: string): Promise<void> {
  const { stdout } = await execa('findmnt', ['-n', '-o', 'MAJ:MIN', device]);
  await writeFile(`/sys/class/bdi/${stdout.trim()}/read_ahead_kb`, '0');
}

const add = (options: object) => ({ execute: 'blockdev-add', arguments: { ...options } });
const readThrough = (file: string) => ({
  execute: 'blockdev-reopen',
  arguments: { options: [{ driver: 'raw', 'node-name': 'top', file }] },
});

function daemonOf(folder: string): string[] {
  const disk = { driver: 'file', 'node-name': 'disk', filename: join(folder, 'disk') };
  const top = { driver: 'raw', 'node-name': 'top', file: 'disk' };
  const device = join(folder, 'device');
  return [
    'qemu-storage-daemon',
    ...[disk, top].flatMap((node) => ['--blockdev', JSON.stringify(node)]),
    ...['--export', `type=fuse,id=device,node-name=top,mountpoint=${device},writable=on`],
    ...['--chardev', `socket,id=monitor,path=${join(folder, 'qmp')},server=on,wait=off`],
    ...['--monitor', 'chardev=monitor'],
  ];
}

/**
 * The kernel tries a page twice, that of a file and then that of the loop device, before it tells
 * a process. A flush has no sector, and only rules for one time can be used up before the nodes
 * change.
 */
function rulesOf({ on, sector, once }: DiskError) {
  const rule = { event: 'none', iotype: on, errno: 5 };
  const times = { read: 4, write: 1, flush: 1 }[on];
  if (!once && on !== 'flush') return [{ ...rule, sector }];
  const place = on === 'flush' ? {} : { sector };
  return Array.from({ length: once ? times : OFTEN }, () => ({ ...rule, ...place, once: true }));
}

async function flushUntilWell(device: string): Promise<void> {
  const file = await open(device, 'r+');
  try {
    for (let left = OFTEN; left >= 0; left--) {
      const isWell = await file.sync().then(
        () => true,
        () => false,
      );
      if (isWell) return;
    }
  } finally {
    await file.close();
  }
}

async function sectorOf(file: string, atByte: number): Promise<number> {
  const { stdout } = await execa('filefrag', ['-s', '-v', `-b${SECTOR}`, file]);
  const wanted = Math.floor(atByte / SECTOR);
  for (const line of stdout.split('\n')) {
    const [, , from = 0, to = -1, there = 0] = (
      /^\s*(\d+):\s*(\d+)\.\.\s*(\d+):\s*(\d+)\.\./.exec(line) ?? []
    ).map(Number);
    if (wanted >= from && wanted <= to) return there + wanted - from;
  }
  throw new Error(`byte ${atByte} of ${file} is a hole:\n${stdout}`);
}

/** What the kernel remembers of a file is read from the disk again. */
export async function forgetCached(file: string): Promise<void> {
  await execa('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
}
