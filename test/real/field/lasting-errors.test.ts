/**
 * What does not pass by itself ends the operation, which undoes what it has done: nothing is tried
 * again for hours while the VM is held (FF-16, FF-21, FF-23, FF-26).
 */
import { rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import {
  createImage,
  defineChain,
  defineShutOff,
  diskXml,
} from '../../support/guest/shut-off-vm.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { startMove, startMoveSystem, VAULT } from '../../support/scenes/transfer/move-scene.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';

const small = use('the file system of small files', () => mountOwn('ext2', 300));
const system = useSystem(async () => {
  const started = await startMoveSystem({ name: 'lasting' });
  await started.host.definePool('small', small.path);
  return started;
});
const inPool = (name: string) => join(system.host.pools, POOL, name);

const moveOf = async (vm: string, to: string) => {
  const image = { kind: 'disk', vm, disk: 'vdb' } as const;
  return (await startMove(system, { image, to })).result();
};

describe('a file that the target file system cannot hold', () => {
  it('ends the move, and frees the VM', async () => {
    const file = inPool('big.raw');
    await writeFile(file, '');
    await truncate(file, 100 * 2 ** 30);
    await defineShutOff(system.host, 'big', diskXml(file, 'raw'));
    expect(await failureOf(moveOf('big', 'small'))).toMatchObject({
      code: 'command-failed',
      now: expect.stringMatching(/EFBIG|too large/i),
    });
    await waitUntil('the copies to go', async () => (await poolFiles(small.path)).length === 0);
    await system.host.virsh('start', 'big', '--paused');
    await system.host.virsh('destroy', 'big');
    await rm(file);
  });
});

/** While that pool is mounted read-only: its SPM has a file there open for writing. */
async function whileReadOnly<T>(ask: () => Promise<T>): Promise<T> {
  await system.killRole('spm');
  await execa('mount', ['-o', 'remount,ro', small.path]);
  try {
    return await ask();
  } finally {
    await execa('mount', ['-o', 'remount,rw', small.path]);
    await system.startRole('spm');
  }
}

describe('a pool that is mounted read-only', () => {
  const expected = { type: 'Refused', code: 'read-only-pool' };

  it('is refused as a target when the move is planned', async () => {
    await defineChain(system.host, 'ro', inPool(''), 1);
    const failure = await whileReadOnly(() => failureOf(moveOf('ro', 'small')));
    expect(failure).toMatchObject(expected);
  });

  it('is refused when a merge into a base there is planned (FF-21)', async () => {
    const below = await createImage(join(small.path, 'base.qcow2'));
    const top = await createImage(inPool('on-read-only.qcow2'), { below });
    await defineShutOff(system.host, 'based', diskXml(top));
    const merge = () => failureOf(merged(system, { vm: 'based', disk: 'vdb' }));
    expect(await whileReadOnly(merge)).toMatchObject(expected);
    expect(await merged(system, { vm: 'based', disk: 'vdb' })).toMatchObject({ outcome: 'merged' });
  });
});

describe('a layer that is not there', () => {
  it.each([0, 1])('ends a merge and a move with its name, at place %i', async (at) => {
    const { chain } = await defineChain(system.host, `lost${at}`, inPool(''), 2);
    await rm(chain[at] ?? '');
    const expected = {
      type: 'Refused',
      code: 'broken-chain',
      now: expect.stringContaining(chain[at] ?? ''),
    };
    expect(await failureOf(merged(system, { vm: `lost${at}`, disk: 'vdb' }))).toMatchObject(
      expected,
    );
    expect(await failureOf(moveOf(`lost${at}`, VAULT))).toMatchObject(expected);
  });
});

describe('a layer whose name has a new line', () => {
  it.each(['down', 'running'])('is refused when it is planned, the VM %s', async (is) => {
    const vm = `lines-${is}`;
    const below = await createImage(inPool(`${vm}-first\nsecond.qcow2`));
    const top = await createImage(inPool(`${vm}.qcow2`), { below });
    await defineShutOff(system.host, vm, diskXml(top));
    if (is === 'running') await system.host.virsh('start', vm);
    const expected = {
      ...{ type: 'Refused', code: 'unsupported-format' },
      now: expect.stringContaining('first\\nsecond.qcow2'),
    };
    expect(await failureOf(merged(system, { vm, disk: 'vdb' }))).toMatchObject(expected);
    expect(await failureOf(moveOf(vm, VAULT))).toMatchObject(expected);
    if (is === 'running') await system.host.virsh('destroy', vm);
    await rm(top);
    await rm(below);
  });
});
