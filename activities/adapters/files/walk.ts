/** Every file of a folder and of the folders below it. */
import { readdir } from 'node:fs/promises';
import { nullIfMissing } from './files.ts';

/** Names below the folder itself that one walk looks at: a home folder may hold millions. */
const MOST_BELOW = 100_000;

interface Walk {
  /** The name of folders that are left out. */
  without: string;
  /** Told of each folder that cannot be searched, or not to its end, and why. */
  leaveOut: (folder: string, why: string) => void;
}

/**
 * Links to folders are not followed: they may lead anywhere, and in circles. The folder itself is
 * searched to its end; of those below it, at most 100,000 names.
 * @returns absolute paths as bytes: a name need not be UTF-8
 * @throws of the file system, for the folder itself
 */
export async function* filesBelow(folder: string, walk: Walk): AsyncGenerator<Buffer> {
  const without = Buffer.from(walk.without);
  const top = await filesAndFolders(Buffer.from(folder), without, nullIfMissing);
  yield* top.files;
  const { folders } = top;
  for (let count = 0, path = folders.pop(); path; path = folders.pop()) {
    const text = path.toString();
    const found = await filesAndFolders(path, without, (error) => {
      if (error.code !== 'ENOENT') walk.leaveOut(text, error.message);
      return null;
    });
    count += found.files.length + found.folders.length;
    if (count > MOST_BELOW) return walk.leaveOut(text, `more than ${MOST_BELOW} files are below`);
    yield* found.files;
    folders.push(...found.folders);
  }
}

async function filesAndFolders(
  path: Buffer,
  without: Buffer,
  onError: (error: NodeJS.ErrnoException) => null,
) {
  const options = { withFileTypes: true, encoding: 'buffer' } as const;
  const entries = (await readdir(path, options).catch(onError)) ?? [];
  const [files, folders]: [Buffer[], Buffer[]] = [[], []];
  for (const entry of entries) {
    if (!entry.isDirectory()) files.push(inside(path, entry.name));
    else if (!entry.name.equals(without)) folders.push(inside(path, entry.name));
  }
  return { files, folders };
}

const slash = Buffer.from('/');
const inside = (folder: Buffer, name: Buffer) =>
  Buffer.concat(folder.equals(slash) ? [slash, name] : [folder, slash, name]);
