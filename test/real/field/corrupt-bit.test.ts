/**
 * Images that QEMU has marked as corrupt (FF-19, FF-20): as backing files they are read on, for
 * writing they are not opened. The VM that starts before an operation starts after it.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { defineChain } from '../../support/guest/shut-off-vm.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  digests,
  removalOf,
  startMove,
  startMoveSystem,
} from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';

let count = 0;
const system = useSystem(() => startMoveSystem({ name: 'corrupt' }));

/** Sets a bit of the incompatible features in a qcow2 header. */
async function setFeature(path: string, bit: 'dirty' | 'corrupt'): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.of(bit === 'dirty' ? 1 : 2), 0, 1, 79);
  await file.sync();
  await file.close();
}

const operations = {
  merge: (vm: string) => merged(system, { vm, disk: 'vdb' }),
  'merge of the inner layer': (vm: string) =>
    merged(system, { vm, disk: 'vdb', top: `${vm}-1.qcow2` }),
  'merge of the top': (vm: string) => merged(system, { vm, disk: 'vdb', shallow: true }),
  move: async (vm: string) =>
    (await startMove(system, { image: { kind: 'disk', vm, disk: 'vdb' } })).result(),
};
type Operation = keyof typeof operations;

async function defined(corrupt: number | null, isLive = false) {
  const vm = `vm${++count}`;
  const { chain } = await defineChain(system.host, vm, join(system.host.pools, POOL), 3);
  if (corrupt !== null) await setFeature(chain[corrupt] ?? '', 'corrupt');
  if (isLive) await system.host.virsh('start', vm, '--paused');
  return { vm, chain };
}

const refusals: [string, Operation, number, boolean][] = [
  ['a base', 'merge', 0, false],
  ['a base of a VM that runs', 'merge', 0, true],
  ['the base of an inner layer', 'merge of the inner layer', 0, false],
  ['the base of an inner layer of a VM that runs', 'merge of the inner layer', 0, true],
  ['a base in the middle', 'merge of the top', 1, false],
  ['a top', 'merge', 2, false],
  ['the layer above', 'merge of the inner layer', 2, false],
  ['a top', 'move', 2, false],
  ['a layer whose backing name changes', 'move', 1, false],
];
it.each(refusals)(
  'corrupt-image: %s keeps the chain from a %s',
  async (_, operation, corrupt, isLive) => {
    const { vm, chain } = await defined(corrupt, isLive);
    const before = isLive ? null : await digests(chain);
    const failure = await failureOf(operations[operation](vm));
    expect([failure.type, failure.code]).toEqual(['Refused', 'corrupt-image']);
    expect(failure.now).toContain(`${chain[corrupt]} is marked corrupt`);
    if (before) expect(await digests(chain)).toEqual(before);
    if (isLive) await system.host.virsh('destroy', vm);
  },
);

it.each<[string, Operation, number]>([
  ['above a corrupt base', 'merge of the top', 0],
  ['with a corrupt base', 'move', 0],
])('what stays a backing file may be corrupt: a chain %s', async (_, operation, corrupt) => {
  const { vm } = await defined(corrupt);
  const result = await operations[operation](vm);
  if ('removal' in result) await removalOf(system, result);
  await system.host.virsh('start', vm, '--paused');
  await system.host.virsh('destroy', vm);
});

it('merges into a base with the dirty bit, which QEMU repairs', async () => {
  const { vm, chain } = await defined(null);
  await setFeature(chain[0] ?? '', 'dirty');
  await operations.merge(vm);
  await system.host.virsh('start', vm, '--paused');
  await system.host.virsh('destroy', vm);
});
