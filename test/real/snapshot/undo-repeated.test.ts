/** An undo that is repeated goes on with the revert before, and says so; never past the first. */
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from '@jest/globals';
import { defineChain } from '../../support/guest/shut-off-vm.ts';
import { commandLine, environmentOf } from '../../support/host/roles/command-line.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { revertTo } from '../../support/scenes/revert-scene.ts';
import { sourcesOf, takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startSharedSystem({ name: 'undorepeated' }));
let count = 0;
let vm: string;
let base: string | undefined;
/** What the disk has before the first revert, between both, and after them. */
let layers: (string | undefined)[];

const active = async () => (await sourcesOf(system, vm, '--inactive'))['vdb'];
const undo = () => revertTo(system, { vm, undo: true });
beforeEach(async () => {
  vm = `undo${++count}`;
  [base] = (await defineChain(system.host, vm, join(system.host.pools, POOL), 1)).chain;
  await takeSnapshot(system, { vm, name: 's1', exclude: ['vda'] });
  layers = [await active()];
  for (let revert = 0; revert < 2; revert++) {
    await revertTo(system, { vm, name: 's1' });
    layers.push(await active());
  }
});

it('undoes the reverts in turn, each once, and tells of those before', async () => {
  const typed = commandLine(environmentOf(system));
  expect(await undo()).toMatchObject({ outcome: 'undone', warnings: [] });
  expect(await active()).toBe(layers[1]);
  const { printed } = await typed('snapshot', 'revert', vm, '--undo', '--dry-run');
  expect(printed).toContain('was undone at');
  const again = await undo();
  const warnings = [expect.stringMatching(/a later revert was undone at .*: this undid the one/)];
  expect(again).toMatchObject({ outcome: 'undone', warnings });
  expect(await active()).toBe(layers[0]);
  expect(await undo()).toMatchObject({ outcome: 'already-done' });
  expect(await active()).toBe(layers[0]);
});

it('base-changed: the refusal of the revert before says that the last one was undone', async () => {
  await undo();
  const later = new Date(Date.now() + 120_000);
  await utimes(base ?? '', later, later);
  const failure = await failureOf(undo());
  expect(failure).toMatchObject({ type: 'Refused', code: 'base-changed' });
  expect(failure.attempted).toMatch(/the one before it \(a later one was undone at .*\)/);
  expect(await active()).toBe(layers[1]);
});
