/**
 * A guest whose own writes always meet EIO in top: at the kernel's word, as of a broken disk. A
 * merge is what saves it: base is on another disk.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { startDeltaScene } from '../../support/scenes/transfer/delta-scene.ts';
import { extentsOf } from '../../support/guest/disks/extents.ts';
import { mountFaulty } from '../../support/faults/faulty-mount.ts';
import { SECTOR_BYTES } from '../../support/guest/guest-sector.ts';
import { expectMerged } from '../../support/scenes/merge-proofs.ts';
import { startSharedSystem, type Scene } from '../../support/scenes/merge-scene.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use, useEach } from '../../support/use.ts';

let scene: Scene;
const disk = use('the disk', () => mountFaulty(120));
const system = useSystem(() => startSharedSystem({ name: 'guesteio' }));
const forTest = useEach();
beforeAll(() => system.host.definePool('broken', disk.path));

/** From now on the guest cannot write to its first slot in top. */
async function breakFirstSlot() {
  const { chain, guest } = scene;
  const top = chain[1] as string;
  const extents = await extentsOf(top);
  const at = guest.disk.parameters.regionStartSector * SECTOR_BYTES;
  const extent = extents.find(({ start, length }) => start <= at && at < start + length);
  const sector = await disk.sectorOf(top, (extent?.offset ?? 0) + at - (extent?.start ?? 0));
  return disk.fail({ on: 'write', sector, once: false });
}

const startHere = async (vm: string) =>
  (scene = await forTest(
    startDeltaScene(system, { vm, bytes: 2 ** 20, overlayFolder: disk.path }),
  ));

/** The merge begins when the guest has met the error, and the disk stays broken. */
async function expectSaved(hasMetIt: () => boolean | Promise<boolean>): Promise<void> {
  const heal = await breakFirstSlot();
  await waitUntil('the guest to meet the error', hasMetIt);
  await expectMerged(scene, await system.merge({ vm: scene.guest.name, disk: 'vda' }));
  await heal();
}

it('A guest that is told of EIO, and writes again, writes to base after the merge', async () => {
  await startHere('told');
  await expectSaved(() => scene.guest.serial.writeErrors.length > 9);
});

it('A guest that stands still at EIO (error_policy=stop) runs on from base', async () => {
  await startHere('still');
  await scene.guest.kill();
  const file = join(system.host.root, 'stop.xml');
  const xml = await system.host.virsh('dumpxml', 'still');
  await writeFile(file, xml.replace("discard='unmap'", "$& error_policy='stop'"));
  await system.host.virsh('define', file);
  await scene.guest.start();
  const why = () => system.host.virsh('domstate', 'still', '--reason');
  await expectSaved(async () => (await why()).trim() === 'paused (I/O error)');
  expect(scene.guest.serial.writeErrors).toEqual([]);
});
