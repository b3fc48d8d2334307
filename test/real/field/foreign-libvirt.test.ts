/**
 * libvirt of another machine, or with mounts of its own, where files of the same names are here
 * (FF-13): nothing here is changed or deleted by its word.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { execa } from 'execa';
import { createImage, defineChain } from '../../support/guest/shut-off-vm.ts';
import { commandLine, environmentOf } from '../../support/host/roles/command-line.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  digests,
  startMove,
  startMoveSystem,
  startRemoval,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';

const system = useSystem(() => startMoveSystem({ name: 'foreign' }));
it('is refused by every operation, by agents that start and by doctor', async () => {
  const pool = join(system.host.pools, POOL);
  const { chain, image } = await defineChain(system.host, 'rem', pool, 2);
  const alone = await createImage(join(pool, 'alone.qcow2'));
  const before = await digests([...chain, alone]);
  const remote = join(system.host.root, 'remote');
  await mkdir(remote);
  await execa('cp', ['-a', `${pool}/.`, remote]);
  const inDaemon = ['-t', String(system.host.libvirtdPid()), '-m'];
  await execa('nsenter', [...inDaemon, 'mount', '--bind', remote, pool]);

  const volume = { pool: POOL, volume: 'alone.qcow2', format: 'qcow2', wipe: false } as const;
  const operations = {
    merge: () => merged(system, { vm: 'rem', disk: 'vdb' }),
    move: async () => (await startMove(system, { image, to: VAULT })).result(),
    removal: async () => (await startRemoval(system, volume)).result(),
  };
  for (const [name, operation] of Object.entries(operations)) {
    const { type, code, next } = await failureOf(operation());
    expect([name, type, code]).toEqual([name, 'Refused', 'other-machine']);
    expect(next).toContain('run the agents where it runs');
  }
  expect(await digests([...chain, alone])).toEqual(before);

  for (const role of ['host', 'spm'] as const) {
    await system.killRole(role);
    await expect(system.startRole(role)).rejects.toThrow(/does not see the files of this machine/);
  }
  const { printed, exitCode } = await commandLine(environmentOf(system))('doctor');
  expect([printed, exitCode]).toEqual([expect.stringContaining('does not see the files'), 4]);
  await execa('nsenter', [...inDaemon, 'umount', pool]);
});
