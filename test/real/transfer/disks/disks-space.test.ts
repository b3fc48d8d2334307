/** Several disks that move into a pool in which not all of them have space. */
import { statfs } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../../workflows/operation/failures.ts';
import { statusQuery } from '../../../../workflows/kinds.ts';
import { armFault } from '../../../support/faults/faults.ts';
import { mountOwn } from '../../../support/host/own-mount.ts';
import { startDisks, startDisksMove } from '../../../support/scenes/transfer/disks-scene.ts';
import { diskOf, startMove, startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';
import { use } from '../../../support/use.ts';

const TIGHT = 'tight';
const MIB = 2 ** 20;
const mount = use('the mount', () => mountOwn('ext4', 96));
const system = useSystem(() => startMoveSystem({ name: 'disks-space' }));
beforeAll(() => system.host.definePool(TIGHT, mount.path));

const bytesOf = async () => {
  const { bavail, blocks, bsize } = await statfs(mount.path);
  return { free: bavail * bsize, total: blocks * bsize };
};

describe('Disks of a VM', () => {
  it('that are larger than the file system together, each of them not, are refused', async () => {
    const bytes = 60 * MIB;
    expect((await bytesOf()).free).toBeGreaterThan(bytes);
    const scene = await startDisks(system, 'large', { running: false, bytes });
    const move = await startDisksMove(scene, { to: TIGHT });
    const failure = failureDetails(await move.result().catch((error: unknown) => error));
    expect(failure).toMatchObject({ type: 'Refused', details: { code: 'not-enough-space' } });
    expect(failure?.details.now).toMatch(
      /its 2 disks need .* MiB, the pool's whole file system has/,
    );
  });

  it('of which one is there already need space for the other one alone', async () => {
    const bytes = 36 * MIB;
    const scene = await startDisks(system, 'half', { running: false, bytes });
    armFault(system.trace, { effect: 'libvirt.switch-disk-source', action: 'stop-after' });
    const one = await startMove(system, { image: diskOf('half'), to: TIGHT });
    await system.roleStopped('host');
    await one.terminate();
    system.signalRole('host', 'SIGCONT');
    const { free } = await bytesOf();
    expect(free).toBeGreaterThan(bytes);
    expect(free).toBeLessThan(2 * bytes);
    const move = await startDisksMove(scene, { to: TIGHT });
    expect(await move.result()).toMatchObject({ outcome: 'moved' });
    expect(await move.query(statusQuery)).toMatchObject({ phase: 'finished' });
  });
});
