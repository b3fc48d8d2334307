/**
 * A pool whose folder answers with an error, as of a FUSE daemon that has died: what else is in the
 * pool cannot be told, so nothing that stands on a file there may be changed or deleted.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { execa } from 'execa';
import { defineChain } from '../../support/guest/shut-off-vm.ts';
import { makeMountFolder, removeMountFolder } from '../../support/host/own-mount.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import {
  removalOf,
  startMove,
  startMoveSystem,
  startRemoval,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';

const DEAD = 'dead';
const mount = use('the folder', async () => {
  const folder = await makeMountFolder();
  await mkdir(join(folder, 'fs'));
  return { path: join(folder, 'fs'), close: () => removeMountFolder(folder) };
});
const system = useSystem(async () => {
  const started = await startMoveSystem({ name: 'dead-pool' });
  await started.host.definePool(DEAD, mount.path);
  return started;
});

/** No process serves it once the shell has ended: ENOTCONN. */
const MOUNT_DEAD = `exec 5<>/dev/fuse
mount -i -t fuse -o fd=5,rootmode=40000,user_id=0,group_id=0 dead "$0"`;

it('unproven while it is active; left out and told once it is stopped', async () => {
  const folder = join(system.host.pools, POOL);
  const one = await defineChain(system.host, 'one', folder, 2);
  await defineChain(system.host, 'two', folder, 1);
  await execa('bash', ['-c', MOUNT_DEAD, mount.path]);
  const image = { pool: POOL, volume: 'two-0.qcow2', format: 'qcow2' } as const;
  await system.host.virsh('undefine', 'two');
  const operations = [
    () => merged(system, { vm: 'one', disk: 'vdb' }),
    async () => (await startMove(system, { image: one.image, to: VAULT })).result(),
    async () => (await startRemoval(system, image)).result(),
  ];
  // What stands on the layer goes on to read what it has read.
  await takeSnapshot(system, { vm: 'one', name: 's1', exclude: ['vda'] });
  for (const operation of operations) {
    const failure = await failureOf(operation());
    expect(failure).toMatchObject({ type: 'Hold', code: 'unproven' });
    expect(failure.attempted).toContain(mount.path);
    expect(failure.now).toContain(`pool ${DEAD}`);
    expect(failure.next).toContain(`virsh pool-destroy ${DEAD}`);
  }
  await system.host.virsh('pool-destroy', DEAD);
  const result = await merged(system, { vm: 'one', disk: 'vdb' });
  expect(result.outcome).toBe('merged');
  expect(result.warnings.join()).toContain(`not looked for in ${mount.path}`);
  const move = await startMove(system, { image: one.image, to: VAULT });
  await removalOf(system, await move.result());
});
