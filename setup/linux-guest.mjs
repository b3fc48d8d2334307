/**
 * Step 4: a Linux that boots in seconds, for tests of what needs a guest agent: Debian's cloud
 * kernel and busybox, as files below node_modules. Nothing of it is installed. Debian's signature
 * vouches for them: with a checksum in the tree, set-up would end at each update of the kernel.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CannotDo, say } from './say.mjs';
import { signedOnly } from './system-packages.mjs';

const run = promisify(execFile);
const folderOf = (root) => join(root, 'node_modules', '.linux-guest');

export const linuxGuestIsThere = (root) => existsSync(folderOf(root));

export const linuxGuestAdvice =
  'the kernel of the test guest: "apt-get download" of Debian\'s linux-image-cloud-amd64 and ' +
  'busybox-static ("node setup.mjs" does it).';

export async function installLinuxGuest(root) {
  say('fetching a kernel and busybox for the test guest (28 MB).');
  await mkdir(join(root, 'node_modules'), { recursive: true });
  const draft = await mkdtemp(join(root, 'node_modules', '.linux-guest-'));
  try {
    const { stdout } = await run('apt-cache', ['depends', 'linux-image-cloud-amd64']);
    const [, kernel] = /Depends: (linux-image-\S+)/.exec(stdout) ?? [];
    if (!kernel) throw new Error('apt knows no linux-image-cloud-amd64');
    await run('apt-get', ['download', '-q', ...signedOnly, kernel, 'busybox-static'], {
      cwd: draft,
    });
    for (const name of await readdir(draft)) {
      if (!name.endsWith('.deb')) continue;
      await run('dpkg-deb', ['-x', join(draft, name), draft]);
      await rm(join(draft, name));
    }
    await rename(draft, folderOf(root));
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw new CannotDo(`${linuxGuestAdvice} It failed: ${error.message}`);
  }
}
