/**
 * A guest that panicked, with `on_crash=preserve`: `crashed (panicked)`, a state in which libvirt
 * keeps its QEMU. It is no lost VM.
 */
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { defineChain, redefine } from '../../support/guest/shut-off-vm.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { startMove, startMoveSystem, VAULT } from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { waitUntil } from '../../support/wait-until.ts';

const system = useSystem(() => startMoveSystem({ name: 'panicked' }));
const said = async () => (await system.host.virsh('domstate', 'panicked', '--reason')).trim();

it('is merged and moved as one that is paused, and stays what it is', async () => {
  const folder = join(system.host.pools, POOL);
  const { chain, image } = await defineChain(system.host, 'panicked', folder, 2);
  await redefine(system.host, 'panicked', (xml) =>
    xml
      .replace('<on_crash>destroy<', '<on_crash>preserve<')
      .replace('</devices>', "<panic model='isa'/></devices>"),
  );
  await system.host.virsh('start', 'panicked');
  // As its kernel tells QEMU.
  await system.host.virsh('qemu-monitor-command', 'panicked', '--hmp', 'o /1 0x505 1');
  await waitUntil('the panic', async () => (await said()) === 'crashed (panicked)');

  const result = await merged(system, { vm: 'panicked', disk: 'vdb' });
  expect(result).toMatchObject({ outcome: 'merged', mode: 'active', chainAfter: [chain[0]] });
  expect(await said()).toBe('crashed (panicked)');
  const moved = await (await startMove(system, { image, to: VAULT })).result();
  expect(moved).toMatchObject({ outcome: 'moved' });
  expect(await said()).toBe('crashed (panicked)');
});
