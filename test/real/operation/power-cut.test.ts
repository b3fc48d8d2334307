/**
 * What a host finds when its power was cut: the disk with libvirt's XML has only what was flushed.
 * Pools are on another disk, whose own flushes do not reach it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { SMALL } from '../../support/scenes/merge-checks.ts';
import { startScene, startSharedSystem, type Scene } from '../../support/scenes/merge-scene.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { cutPower } from '../../support/faults/power-cut.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';

let scene: Scene;
const etc = use('the disk of libvirt', () => mountOwn('ext4', 64));
const system = useSystem(() => startSharedSystem({ name: 'power', etc: etc.path }));

/** What the VM's XML names on the disk, with its power cut when this effect has been done. */
async function filesAfter(effect: 'libvirt.pivot' | 'storage.unlink-volume', vm: string) {
  let xml = '';
  const at = { effect, action: 'stop-after' } as const;
  const start = () => system.merge({ vm, disk: 'vda' });
  const merge = await cutPower({ system, disk: etc, at }, start, async (path) => {
    xml = await readFile(join(path, `qemu/${vm}.xml`), 'utf8');
  });
  await merge.result();
  await scene.close();
  return [...xml.matchAll(/<source file='([^']*)'/g)].map(([, file]) => file);
}

describe('A power cut finds on base a VM that', () => {
  it('runs on after its pivot: its writes go there', async () => {
    scene = await startScene({ system, vm: 'pivoted', guest: SMALL });
    expect(await filesAfter('libvirt.pivot', 'pivoted')).toEqual([scene.chain[0]]);
  });

  it('has been merged while it ran: top is deleted', async () => {
    scene = await startScene({ system, vm: 'on', guest: SMALL });
    expect(await filesAfter('storage.unlink-volume', 'on')).toEqual([scene.chain[0]]);
  });

  it('has been merged while it was shut off: top is deleted', async () => {
    scene = await startScene({ system, vm: 'off', guest: SMALL });
    await scene.guest.kill();
    expect(await filesAfter('storage.unlink-volume', 'off')).toEqual([scene.chain[0]]);
  });
});
