/**
 * What agents make is theirs alone, whatever the umask of who starts them: another user of the
 * machine reads nothing of it, and takes neither a lease nor a lock.
 */
import { lstat, readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { leaseFile } from '../../../activities/pool-folder/flock-lease.ts';
import { OWN_FOLDER } from '../../../activities/pool-folder/own-folder.ts';
import { roleNames } from '../../../worker/roles/start.ts';
import { expectNotMoved, startSlowMirror } from '../../support/scenes/transfer/live-move-scene.ts';
import { SMALL } from '../../support/scenes/merge-checks.ts';
import { POOL, startScene } from '../../support/scenes/merge-scene.ts';
import { startMoveSystem, VAULT } from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';

const STRANGER = '65534';

/** Everything at and below a folder, each with what others than its owner may do. */
async function rights(folder: string): Promise<[string, string][]> {
  const place = await realpath(folder);
  const names = ['', ...(await readdir(place, { recursive: true }))];
  const found = names.map(async (name): Promise<[string, string]> => {
    const { mode } = await lstat(join(place, name));
    return [join(folder, name), (mode & 0o077).toString(8)];
  });
  return Promise.all(found);
}

const mayLock = async (file: string) => {
  const stranger = ['--reuid', STRANGER, '--regid', STRANGER, '--clear-groups'];
  const lock = ['flock', '--nonblock', '--conflict-exit-code', '0', file, 'true'];
  return (await execa('setpriv', [...stranger, ...lock], { reject: false })).exitCode === 0;
};

describe.each([0o022, 0o000])('with a umask of %i', (umask) => {
  const system = useSystem(() => startMoveSystem({ name: 'rights', roles: [] }));
  const forTest = useEach();

  it('all that agents make is for their own user', async () => {
    const before = process.umask(umask);
    for (const role of roleNames) await system.startRole(role);
    process.umask(before);
    const scene = await forTest(startScene({ system, guest: SMALL, vm: `vm${umask}`, layers: 1 }));
    const move = await startSlowMirror(scene);
    const pools = [POOL, VAULT].map((pool) => join(system.host.pools, pool));
    const own = pools.map((pool) => join(pool, OWN_FOLDER));
    const folders = [join(system.stateDir, 'events'), join(system.stateDir, 'pools')];
    const all = await Promise.all([...own, ...folders, system.runtimeDir].map(rights));
    // QEMU passes through them to a copy, of which it has the rights of the source.
    const isPassable = (path: string) => own.includes(path) || /[/][0-9a-f-]{36}$/.test(path);
    // QEMU makes them so, in a folder of the agent alone; who connects has to write.
    const isSocket = (path: string, rest: string) => /\.s[12]$/.test(path) && rest === '50';
    const isCopy = (path: string) => /\.(part|copied|ready)$/.test(path);
    const open = all.flat().filter(([path, rest]) => {
      if (isCopy(path) || isSocket(path, rest)) return false;
      return rest !== (isPassable(path) ? '11' : '0');
    });
    expect(open).toEqual([]);
    const locks = all.flat().flatMap(([path]) => (/\.lock$/.test(path) ? [path] : []));
    expect(locks.length).toBeGreaterThan(0);
    for (const file of [...pools.map(leaseFile), ...locks]) {
      expect([file, await mayLock(file)]).toEqual([file, false]);
    }
    await move.cancel();
    await expect(move.result()).rejects.toThrow();
    await expectNotMoved(scene, move);
  });
});
