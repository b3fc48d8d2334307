/** What a file has beside its data, and whether its copy can have it in the target pool. */
import { refused } from '../../../../workflows/operation/failures.ts';
import { copyExtended, copyRights, isNoCopyOnWrite } from '../../../adapters/files/attributes.ts';
import { withOwnedFile } from '../../../adapters/files/owned-folder.ts';
import { isToolFailure } from '../../../adapters/process/command.ts';
import { withProbeIfRoom } from '../../../pool-folder/probes.ts';

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
  const lost: string[] = [];
  for (const path of paths) {
    const words = await withProbeIfRoom(folder, (probe) => lostBy(attempted, path, probe));
    if (words === null) return lost;
    lost.push(...words);
    if (!(await isNoCopyOnWrite(path))) continue;
    lost.push(`the no-copy-on-write flag of ${path} does not follow (\`lsattr\`)`);
  }
  return lost;
}

async function lostBy(attempted: string, path: string, probe: string): Promise<string[]> {
  const onto = (copy: typeof copyRights) => withOwnedFile(probe, (file) => copy(path, file));
  const rights = await wordsOfFailure(onto(copyRights));
  if (rights !== null) throw lostRights(attempted, path, rights);
  const extended = await wordsOfFailure(onto(copyExtended));
  return extended === null ? [] : [`extended attributes of ${path} do not follow: ${extended}`];
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
