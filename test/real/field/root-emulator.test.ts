/**
 * `user = "root"` in qemu.conf: libvirt 9.0 leaves QEMU its capabilities (it knows no
 * `clear_emulator_capabilities` any more), so it opens what modes and owners keep from others.
 */
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { defineChain } from '../../support/guest/shut-off-vm.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { startMove } from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const CLOSED = 'closed';

const system = useSystem(async () => {
  const started = await startSharedSystem({
    name: 'root-emulator',
    async prepare(host) {
      const folder = join(host.pools, CLOSED);
      await mkdir(folder);
      await host.definePool(CLOSED, folder);
      await chown(folder, 1, 1);
      await chmod(folder, 0o700);
    },
  });
  const file = join(started.host.root, 'etc/qemu.conf');
  const settings = await readFile(file, 'utf8');
  const asRoot = settings.replace(/^(user|group) = .*$/gm, '$1 = "root"');
  await writeFile(file, `${asRoot}clear_emulator_capabilities = 1\n`);
  await started.host.restart();
  return started;
});

async function expectStarts(vm: string): Promise<void> {
  await system.host.virsh('start', vm, '--paused');
  await system.host.virsh('destroy', vm);
}

it('merges into a layer of mode 0444, and moves into a folder of mode 0700', async () => {
  const vm = 'capable';
  const { chain, image } = await defineChain(system.host, vm, join(system.host.pools, POOL), 2);
  await chmod(chain[0] ?? '', 0o444);
  expect(await merged(system, { vm, disk: 'vdb' })).toMatchObject({ outcome: 'merged' });
  await expectStarts(vm);
  await (await startMove(system, { image, to: CLOSED })).result();
  await expectStarts(vm);
});
