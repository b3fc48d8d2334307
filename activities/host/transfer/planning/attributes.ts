/** What a file has beside its data, and whether its copy can have it in the target pool. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { refused } from '../../../../workflows/operation/failures.ts';
import { copyExtended, copyRights, isNoCopyOnWrite } from '../../../adapters/files/attributes.ts';
import { createFile, nullIfMissing, removeFile } from '../../../adapters/files/files.ts';
import { isToolFailure } from '../../../adapters/process/command.ts';
import { OWN_FOLDER } from '../../../pool-folder/own-folder.ts';

/**
 * Tried with an empty file in the target pool.
 * @returns what the copies will lack, in words
 * @throws Refused `lost-rights`: without its ACL a file may let in others than before
 */
export async function assertAttributesFollow(
  attempted: string,
  paths: readonly string[],
  folder: string,
): Promise<string[]> {
  const probe = join(folder, OWN_FOLDER, 'probes', randomUUID());
  const lost: string[] = [];
  for (const path of paths) {
    try {
      if (!(await isCreated(probe))) return lost;
      const rights = await wordsOfFailure(copyRights(path, probe));
      if (rights !== null) throw lostRights(attempted, path, rights);
      const extended = await wordsOfFailure(copyExtended(path, probe));
      if (extended !== null) lost.push(`extended attributes of ${path} do not follow: ${extended}`);
    } finally {
      await removeFile(probe).catch(nullIfMissing);
    }
    if (!(await isNoCopyOnWrite(path))) continue;
    lost.push(`the no-copy-on-write flag of ${path} does not follow (\`lsattr\`)`);
  }
  return lost;
}

/** A full pool is waited for; then there is no probe. */
async function isCreated(probe: string): Promise<boolean> {
  try {
    await createFile(probe);
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['ENOSPC', 'EDQUOT', 'ENOENT'].includes(code)) return false;
    throw error;
  }
}

async function wordsOfFailure(attempt: Promise<void>): Promise<string | null> {
  try {
    await attempt;
    return null;
  } catch (error) {
    if (!isToolFailure(error)) throw error;
    return /No space left|quota exceeded/.test(error.stderr) ? null : error.stderr;
  }
}

const lostRights = (attempted: string, path: string, words: string) =>
  refused('lost-rights', {
    attempted,
    now: `owner, mode and ACL of ${path} cannot be kept in that pool (${words})`,
    next: 'Choose a pool whose file system has ACLs, or remove the ACL first (`setfacl -b`)',
  });
