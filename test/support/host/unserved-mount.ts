/** FUSE mounts that no file can be read of: of a daemon that has died, of another user, silent. */
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { makeMountFolder, removeMountFolder } from './own-mount.ts';

/** dead: ENOTCONN; private: EACCES, to root as well; silent: no answer. */
export type Unserved = 'dead' | 'private' | 'silent';

/** What has the device open serves the mount; none does once it has ended. */
const MOUNT = `exec 5<>/dev/fuse
mount -i -t fuse -o "fd=5,rootmode=40000,user_id=$1,group_id=$1" unserved "$0" && echo mounted`;
const OTHER_USER = '65534';

/** @param folder where it is mounted; default one of its own */
export async function mountUnserved(kind: Unserved, folder?: string) {
  const own = folder === undefined ? await makeMountFolder() : undefined;
  const path = folder ?? join(own ?? '', 'fs');
  await mkdir(path, { recursive: true });
  const uid = kind === 'private' ? OTHER_USER : '0';
  const script = kind === 'dead' ? MOUNT : `${MOUNT} && exec cat`;
  const shell = execa('bash', ['-c', script, path, uid], { stdin: 'pipe', reject: false });
  await (kind === 'dead' ? shell : once(shell.stdout, 'data'));
  const end = async () => {
    shell.stdin.end();
    await shell;
  };
  return {
    path,
    async close() {
      await end();
      if (own !== undefined) await removeMountFolder(own);
      else await execa('umount', ['--lazy', path]);
    },
  };
}
