/**
 * `dynamic_ownership = 0` in qemu.conf: libvirt gives no file to QEMU's user, who has to be let in
 * by the files themselves, before and after an operation.
 */
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { defineChain } from '../../support/guest/shut-off-vm.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { startMove, startMoveSystem, VAULT } from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(async () => {
  const started = await startMoveSystem({ name: 'fixed' });
  const file = join(started.host.root, 'etc/qemu.conf');
  const settings = await readFile(file, 'utf8');
  await writeFile(file, settings.replace(/^dynamic_ownership.*$/m, 'dynamic_ownership = 0'));
  await started.host.restart();
  return started;
});

/** All files of the VM are QEMU's, as a site has to see to. */
async function defineOwned(vm: string, layers: number) {
  const made = await defineChain(system.host, vm, join(system.host.pools, POOL), layers);
  await own('libvirt-qemu:kvm', join(system.host.root, `${vm}-system.qcow2`), ...made.chain);
  return made;
}
const own = (owner: string, ...files: string[]) => execa('chown', [owner, ...files]);

/** Paused before its first instruction: QEMU has opened all files for writing. */
async function startsAgain(vm: string): Promise<void> {
  await system.host.virsh('start', vm, '--paused');
  await system.host.virsh('destroy', vm);
}

describe('libvirt gives no file to QEMU', () => {
  it('a VM starts after a merge, a snapshot and a move of its disk', async () => {
    const { image } = await defineOwned('fixed-all', 3);
    await startsAgain('fixed-all');
    expect(await merged(system, { vm: 'fixed-all', disk: 'vdb' })).toMatchObject({
      outcome: 'merged',
    });
    await startsAgain('fixed-all');
    await takeSnapshot(system, { vm: 'fixed-all', name: 's1', exclude: ['vda'] });
    await startsAgain('fixed-all');
    await (await startMove(system, { image, to: VAULT })).result();
    await startsAgain('fixed-all');
  });

  it('closed-volume: nothing is merged into a layer that QEMU may only read', async () => {
    const { chain } = await defineOwned('fixed-base', 2);
    const base = chain[0] ?? '';
    await own('root:root', base);
    await chmod(base, 0o644);
    await startsAgain('fixed-base');
    const request = { vm: 'fixed-base', disk: 'vdb' };
    const before = await readFile(base);
    expect(await failureOf(merged(system, request))).toMatchObject({ code: 'closed-volume' });
    expect((await readFile(base)).equals(before)).toBe(true);
    await own('libvirt-qemu:kvm', base);
    expect(await merged(system, request)).toMatchObject({ outcome: 'merged' });
    await startsAgain('fixed-base');
  });
});
