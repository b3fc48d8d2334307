/** What must be true of the disks of a VM after they have moved together, or have not. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { OWN_FOLDER } from '../../../../activities/pool-folder/own-folder.ts';
import { expectGuestData } from '../../guest/guest-data.ts';
import { waitUntil } from '../../wait-until.ts';
import type { DisksHandle, DisksScene } from './disks-scene.ts';
import { VAULT } from './image-operations.ts';
import { POOL } from '../merge-scene.ts';
import { copiers } from './move-scene.ts';
import { poolFiles } from '../pool-files.ts';
import { imagesOf, sourcesOf } from '../snapshot-scene.ts';

/** What a VM has in one of the two pools, and what blockflow keeps there for it. */
async function filesIn({ system, guest, leftovers }: DisksScene, pool: string): Promise<string[]> {
  const all = await poolFiles(join(system.host.pools, pool));
  const isOurs = (name: string) =>
    name.startsWith(`${guest.name}.`) || name.startsWith(`${guest.name}-`);
  const isKept = (name: string) => name.startsWith(OWN_FOLDER) && !leftovers.includes(name);
  return all.filter((name) => isOurs(name) || isKept(name)).sort();
}

/** The VM is on these files in both XMLs, has no job, and no daemon of ours is left. */
async function expectOn(scene: DisksScene, disks: Record<string, string>): Promise<void> {
  const { system, guest } = scene;
  expect(await sourcesOf(system, guest.name, '--inactive')).toEqual(disks);
  expect(await sourcesOf(system, guest.name)).toEqual(disks);
  expect(await system.host.virsh('dumpxml', guest.name)).not.toContain('<mirror');
  expect(await copiers(system)).toEqual([]);
}

/** Ends well: all disks are in the vault, their sources are gone, no write is lost. */
export async function expectAllMoved(scene: DisksScene, handle: DisksHandle) {
  const { system, guest, disks, moved } = scene;
  const result = await handle.result();
  const state = (disk: string) => ({ disk, state: 'moved', why: null });
  expect(result).toMatchObject({
    outcome: 'moved',
    disks: Object.keys(disks).map(state),
    // With a snapshot, the layers below them too.
    chainAfter: expect.arrayContaining(Object.values(moved)),
  });
  await expectInVaultTogether(scene);
  expect(await system.host.virsh('domstate', guest.name)).toMatch(/running|shut off/);
  return result;
}

/** The same for what went on after a failure: the deletion of the sources is waited for. */
export async function expectInVaultTogether(scene: DisksScene): Promise<void> {
  const { system, guest, moved, names } = scene;
  await waitUntil('the sources to be deleted', async () => {
    const [left, there] = [await filesIn(scene, POOL), await filesIn(scene, VAULT)];
    return left.length === 0 && there.join() === names.join();
  });
  await expectOn(scene, moved);
  if ((await system.host.virsh('domstate', guest.name)).trim() === 'running') {
    await guest.waitForAcks(5);
    await guest.kill();
  }
  await expectGuestData(guest, ...imagesOf(moved));
}

/** Ends without effect: the sources are what they were, and no copy is left. */
export async function expectNoneMoved(scene: DisksScene): Promise<void> {
  const { system, guest, disks, names } = scene;
  await waitUntil(
    'the copies to be deleted',
    async () => (await filesIn(scene, VAULT)).length === 0,
  );
  expect(await filesIn(scene, POOL)).toEqual(names);
  await expectOn(scene, disks);
  expect((await system.host.virsh('domstate', guest.name)).trim()).toBe('running');
  await guest.waitForAcks(5);
  await guest.kill();
  await expectGuestData(guest, ...imagesOf(disks));
}

/** For the next scene, which shares the pools: the VM and its volumes, which are in the vault. */
export async function takeAwayTogether({ system, guest, names }: DisksScene): Promise<void> {
  await system.host.virsh('undefine', guest.name, '--snapshots-metadata');
  await Promise.all(names.map((name) => rm(join(system.host.pools, VAULT, name))));
}
