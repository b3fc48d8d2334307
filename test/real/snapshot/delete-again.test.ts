/** A deletion that is repeated after the name had another life: done is what is gone. */
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { defineChain } from '../../support/guest/shut-off-vm.ts';
import { commandLine, environmentOf } from '../../support/host/roles/command-line.ts';
import { says } from '../../support/host/roles/says.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { deleteSnapshot, sourcesOf, takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startSharedSystem({ name: 'again' }));

it.each(['s1', 's.1'])(
  'a layer of %j that no record names is not taken for deleted',
  async (name) => {
    const vm = name === 's1' ? 'plain' : 'dotted';
    const [base] = (await defineChain(system.host, vm, join(system.host.pools, POOL), 1)).chain;
    const take = () => takeSnapshot(system, { vm, name, exclude: ['vda'] });
    const remove = () => deleteSnapshot(system, { vm, name });
    const active = async () => (await sourcesOf(system, vm, '--inactive'))['vdb'];
    await take();
    expect(await remove()).toMatchObject({ outcome: 'deleted' });
    expect(await remove()).toMatchObject({ outcome: 'already-done' });
    await take();
    const layer = (await active()) ?? '';
    await system.host.virsh('snapshot-delete', vm, name, '--metadata');
    // Another one stands on it.
    await takeSnapshot(system, { vm, name: 's2', exclude: ['vda'] });
    const failure = await failureOf(remove());
    expect(failure).toMatchObject({ type: 'Refused', code: 'unknown-snapshot' });
    expect(failure.now).toContain(`${layer} on vdb`);
    const typed = commandLine(environmentOf(system));
    const dry = await typed('snapshot', 'delete', vm, name, '--dry-run', '--json');
    expect(JSON.parse(dry.printed)).toMatchObject({ code: 'unknown-snapshot' });
    const [, command = ''] = /`blockflow (merge [^`]*)`/.exec(failure.next ?? '') ?? [];
    const words = command.split(' ').map((word) => (word === 'BELOW' ? (base ?? '') : word));
    await says(typed(...words), 0, 'Done');
    expect(await remove()).toMatchObject({ outcome: 'already-done' });
    await deleteSnapshot(system, { vm, name: 's2' });
    expect(await active()).toBe(base);
  },
);
