/**
 * Every file of a folder and of the folders below it. It waits for the file system, so it belongs
 * into a thread of its own.
 */
import { readdirSync } from 'node:fs';
import { nullIfMissing } from './paths.ts';

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
export function* filesBelow(folder: string, walk: Walk): Generator<Buffer> {
  const without = Buffer.from(walk.without);
  const top = filesAndFolders(Buffer.from(folder), without, nullIfMissing);
  yield* top.files;
  const { folders } = top;
  for (let count = 0, path = folders.pop(); path; path = folders.pop()) {
    const text = path.toString();
    const found = filesAndFolders(path, without, (error) => {
      if (error.code !== 'ENOENT') walk.leaveOut(text, error.message);
      return null;
    });
    count += found.files.length + found.folders.length;
    if (count > MOST_BELOW) return walk.leaveOut(text, `more than ${MOST_BELOW} files are below`);
    yield* found.files;
    folders.push(...found.folders);
  }
}

function filesAndFolders(
  path: Buffer,
  without: Buffer,
  onError: (error: NodeJS.ErrnoException) => null,
) {
  const [files, folders]: [Buffer[], Buffer[]] = [[], []];
  for (const entry of entriesOf(path, onError)) {
    if (!entry.isDirectory()) files.push(inside(path, entry.name));
    else if (!entry.name.equals(without)) folders.push(inside(path, entry.name));
  }
  return { files, folders };
}

function entriesOf(path: Buffer, onError: (error: NodeJS.ErrnoException) => null) {
  try {
    return readdirSync(path, { withFileTypes: true, encoding: 'buffer' });
  } catch (error) {
    return onError(error as NodeJS.ErrnoException) ?? [];
  }
}

const slash = Buffer.from('/');
const inside = (folder: Buffer, name: Buffer) =>
  Buffer.concat(folder.equals(slash) ? [slash, name] : [folder, slash, name]);
