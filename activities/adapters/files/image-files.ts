/**
 * The files of a copy under way: in `POOL/.blockflow/<job>/`, which pools do not list, on the
 * pool's file system.
 */
import { constants } from 'node:fs';
import {
  copyFile,
  link,
  mkdir,
  open,
  rename,
  rm,
  truncate,
  writeFile,
  stat,
} from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { listFolder, syncPath } from './files.ts';
import { OWN_FOLDER } from '../virsh/pools.ts';
import { manifestOf, reservationFolders } from '../../pool-folder/owner.ts';

export const reservationFolder = (poolFolder: string, jobId: string) =>
  join(poolFolder, OWN_FOLDER, jobId);

/**
 * A volume's file by how far its copy is: `part` may be incomplete, `copied` is complete and
 * flushed, `ready` is what gets the final name. A rename leads from one to the next, so that the
 * file's name is the durable record.
 */
export type Stage = 'part' | 'copied' | 'ready';
/** Bytes of a name that leave room for what it has while it is copied. */
export const LONGEST_NAME_BYTES = 255 - '.part.clone'.length;
export const stagedFile = (poolFolder: string, jobId: string, name: string, stage: Stage) =>
  join(reservationFolder(poolFolder, jobId), `${name}.${stage}`);
/** What a reserved file is to be called, or is called already: both are then one file. */
export const finalName = (poolFolder: string, staged: string) =>
  join(poolFolder, basename(staged, extname(staged)));

/** Makes the folder with what says whose it is. Durable when it returns. */
export async function writeReservation(
  folder: string,
  { owner, text }: { owner: string; text: string },
): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o711 });
  const draft = join(folder, `${manifestOf(owner)}.new`);
  await writeFile(draft, text, { mode: 0o600, flush: true });
  await rename(draft, join(folder, manifestOf(owner)));
  await syncPath(folder);
  await syncPath(dirname(folder));
  await syncPath(dirname(dirname(folder)));
}

/** The files in the reservations of a pool. */
export async function reservedFiles(poolFolder: string): Promise<string[]> {
  const names = (await reservationFolders(poolFolder)).map(async (folder) =>
    (await listFolder(folder)).map((name) => join(folder, name)),
  );
  return (await Promise.all(names)).flat();
}

/** An empty file that only its owner reads, unless it is there. */
export async function createFile(path: string): Promise<void> {
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;
  const file = await open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600);
  await file.close();
}

/** Removes a reservation's folder with everything in it. */
export async function removeReservation(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await syncPath(dirname(folder)).catch(() => undefined);
}

/**
 * Shares the data of `source` with `target`, at once and without space, where the file system can
 * (xfs, btrfs).
 * @returns false where it cannot
 */
export async function reflink(source: string, target: string): Promise<boolean> {
  // Under a name of its own: libuv unlinks the target of a clone that fails.
  const clone = `${target}.clone`;
  try {
    await copyFile(source, clone, constants.COPYFILE_FICLONE_FORCE);
    await rename(clone, target);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOSYS', 'ENOTTY'].includes(code))
      return false;
    throw error;
  }
}

/** Empties the file and gives it this length, all holes. */
export async function resetFile(path: string, sizeBytes: number): Promise<void> {
  await truncate(path, 0);
  await truncate(path, sizeBytes);
}

/**
 * Makes a copied file whole and durable: the rest after `copiedBytes` and the exact length, unless
 * it is no copy of the file's bytes; the source's owner and mode.
 * QEMU rounds lengths up to 512 bytes, and a qcow2 file may end anywhere.
 * @returns false when there is no space for the rest; nothing is lost, it may be tried again
 */
export async function completeCopy(
  source: string,
  target: string,
  lengths: { copiedBytes: number; sizeBytes: number } | null,
): Promise<boolean> {
  const tail = lengths && (await readTail(source, lengths.copiedBytes, lengths.sizeBytes));
  const file = await open(target, 'r+');
  try {
    if (tail && !(await writeTail(file, tail, lengths.copiedBytes))) return false;
    if (tail) await file.truncate(lengths.sizeBytes);
    const { uid, gid, mode } = await stat(source);
    await file.chmod(mode & 0o777);
    // Only root may give a file away; anybody else's copy is his own, as his source is.
    await file.chown(uid, gid).catch(() => undefined);
    await file.sync();
    return true;
  } finally {
    await file.close();
  }
}

/** Only of a write is ENOSPC no loss: of a flush it means that written data is gone. */
async function writeTail(file: Handle, tail: Buffer, position: number): Promise<boolean> {
  try {
    await writeAll(file, tail, position);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}

async function readTail(path: string, from: number, to: number): Promise<Buffer> {
  const tail = Buffer.alloc(to - from);
  const file = await open(path, 'r');
  try {
    const { bytesRead } = await file.read(tail, 0, tail.length, from);
    if (bytesRead !== tail.length) throw new Error(`${path} is shorter than ${to} bytes`);
    return tail;
  } finally {
    await file.close();
  }
}

type Handle = Awaited<ReturnType<typeof open>>;

/**
 * Near the end of a file system's space a write is short and returns no error: every count is
 * checked.
 */
async function writeAll(file: Handle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw new Error('the file system takes no more bytes');
    done += bytesWritten;
  }
}

/**
 * Gives a file one more name; `syncPath` of the folder makes it durable. `link` decides: it never
 * replaces a file (`mv -n` returns 0 on a clash).
 * @returns false when the name is taken
 */
export async function linkFile(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  return true;
}

const WIPE_PIECE = Buffer.alloc(1024 * 1024);

/**
 * Writes zeros over the extents and flushes them: a hole never held data, and zero ranges would
 * overwrite nothing.
 * @param onWritten told each time how many bytes are overwritten by now
 */
export async function overwrite(
  path: string,
  extents: readonly { start: number; length: number }[],
  onWritten: (bytes: number) => void,
): Promise<void> {
  const file = await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    let before = 0;
    for (const { start, length } of extents) {
      for (let done = 0; done < length; done += WIPE_PIECE.length) {
        const piece = WIPE_PIECE.subarray(0, Math.min(WIPE_PIECE.length, length - done));
        await writeAll(file, piece, start + done);
        onWritten(before + done + piece.length);
      }
      before += length;
    }
    await file.sync();
  } finally {
    await file.close();
  }
}
