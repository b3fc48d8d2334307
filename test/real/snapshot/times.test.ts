/**
 * A revert takes a layer that was modified after its snapshot for another one, so what changes
 * files and not the data of a snapshot leaves their times.
 */
import { readdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from '@jest/globals';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { defineWithSnapshot, revertTo } from '../../support/scenes/revert-scene.ts';
import {
  deleteSnapshot,
  takeSnapshot,
  type SeveralDisks,
} from '../../support/scenes/snapshot-scene.ts';
import { startDisksMove } from '../../support/scenes/transfer/disks-scene.ts';
import { startMoveSystem, VAULT } from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'times' }));
const THEN = 1_700_000_000;
let count = 0;
let scene: SeveralDisks;
let vm: string;

/** Three snapshots of two disks; all layers were written long ago. */
beforeEach(async () => {
  vm = `times${++count}`;
  scene = await defineWithSnapshot(system, vm);
  for (const name of ['s2', 's3']) await takeSnapshot(system, { vm, name });
  for (const file of await filesIn(POOL)) await utimes(file, THEN, THEN);
});

async function filesIn(pool: string): Promise<string[]> {
  const folder = join(system.host.pools, pool);
  const names = (await readdir(folder)).filter((name) => name.startsWith(vm));
  return names.sort().map((name) => join(folder, name));
}

/** Names without the VM's, of the layers that are below the active ones, with their ages. */
async function ages(pool: string): Promise<Record<string, number>> {
  const files = (await filesIn(pool)).filter((file) => !file.endsWith('.s3'));
  const found = files.map(async (file): Promise<[string, number]> => {
    const { mtimeMs } = await stat(file);
    return [file.slice(file.lastIndexOf('/') + 1 + vm.length), Math.round(mtimeMs / 1000)];
  });
  return Object.fromEntries(await Promise.all(found));
}
const old = (...names: string[]) => Object.fromEntries(names.map((name) => [name, THEN]));

async function run(runs: boolean): Promise<void> {
  if (!runs) return;
  await scene.guest.start(60_000);
  await scene.guest.waitForAcks(10);
}

it.each([false, true])('A deletion of one below; the VM runs: %s', async (runs) => {
  await run(runs);
  await deleteSnapshot(system, { vm, name: 's1' });
  expect(await ages(POOL)).toEqual(old('-b.qcow2', '-b.s2', '.qcow2', '.s2'));
  if (runs) await scene.guest.kill();
  expect(await revertTo(system, { vm, name: 's2' })).toMatchObject({ outcome: 'reverted' });
});

it.each([false, true])('A move to another pool; the VM runs: %s', async (runs) => {
  await run(runs);
  await (await startDisksMove({ system, guest: scene.guest })).result();
  const names = ['-b.qcow2', '-b.s1', '-b.s2', '.qcow2', '.s1', '.s2'];
  expect(await ages(VAULT)).toEqual(old(...names));
  if (runs) await scene.guest.kill();
  expect(await revertTo(system, { vm, name: 's2' })).toMatchObject({ outcome: 'reverted' });
});
