/** A snapshot that a VM went back to is deleted as any other: what was written since is merged. */
import { beforeEach, expect, it } from '@jest/globals';
import { expectGuestData } from '../../support/guest/guest-data.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { defineWithSnapshot, ownFiles, revertTo } from '../../support/scenes/revert-scene.ts';
import {
  deleteSnapshot,
  imagesOf,
  sourcesOf,
  takeSnapshot,
  type SeveralDisks,
} from '../../support/scenes/snapshot-scene.ts';
import { startRemoval } from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { waitUntil } from '../../support/wait-until.ts';

const system = useSystem(() => startSharedSystem({ name: 'backgone' }));
let count = 0;
let scene: SeveralDisks;
let vm: string;
beforeEach(async () => {
  vm = `gone${++count}`;
  scene = await defineWithSnapshot(system, vm);
});

const sources = () => sourcesOf(system, vm, '--inactive');
const listed = async () =>
  (await system.host.virsh('snapshot-list', vm, '--name')).split('\n').filter(Boolean);
const record = (name: string) => system.host.virsh('snapshot-dumpxml', vm, name);

/** What the guest writes now is above the snapshot that it went back to. */
async function write(): Promise<void> {
  await scene.guest.start(60_000);
  await scene.guest.waitForAcks(30);
}

it('while the VM is down, and while it runs', async () => {
  await revertTo(system, { vm, name: 's1' });
  await write();
  await scene.guest.kill();
  expect(await deleteSnapshot(system, { vm, name: 's1' })).toMatchObject({ outcome: 'deleted' });
  expect(await sources()).toEqual(scene.disks);
  expect(await listed()).toEqual([]);
  await expectGuestData(scene.guest, ...imagesOf(scene.disks));
  await takeSnapshot(system, { vm, name: 's2' });
  await revertTo(system, { vm, name: 's2' });
  await write();
  expect(await deleteSnapshot(system, { vm, name: 's2' })).toMatchObject({ outcome: 'deleted' });
  expect(await sources()).toEqual(scene.disks);
  await scene.guest.kill();
  await expectGuestData(scene.guest, ...imagesOf(scene.disks));
});

it('after an undo, with the records as they were', async () => {
  await takeSnapshot(system, { vm, name: 's2' });
  const before = [await record('s1'), await record('s2')];
  await revertTo(system, { vm, name: 's1' });
  expect(await record('s1')).not.toBe(before[0]);
  await revertTo(system, { vm, undo: true });
  expect([await record('s1'), await record('s2')]).toEqual(before);
  for (const name of ['s1', 's2']) await deleteSnapshot(system, { vm, name });
  expect(await sources()).toEqual(scene.disks);
  expect(await listed()).toEqual([]);
});

it('on the branch that the VM went back to last, whichever it was on between', async () => {
  await takeSnapshot(system, { vm, name: 's2' });
  await revertTo(system, { vm, name: 's1' });
  await revertTo(system, { vm, name: 's2' });
  await write();
  await scene.guest.kill();
  for (const name of ['s1', 's2']) {
    expect(await deleteSnapshot(system, { vm, name })).toMatchObject({ outcome: 'deleted' });
  }
  expect(await sources()).toEqual(scene.disks);
  expect(await listed()).toEqual([]);
  await expectGuestData(scene.guest, ...imagesOf(scene.disks));
});

it('shared-base: not while another branch stands on its layers', async () => {
  await takeSnapshot(system, { vm, name: 's2' });
  await revertTo(system, { vm, name: 's1' });
  const [before, files] = [await sources(), await ownFiles(system, vm)];
  const failure = await failureOf(deleteSnapshot(system, { vm, name: 's1' }));
  expect(failure).toMatchObject({ type: 'Refused', code: 'shared-base' });
  expect([await sources(), await ownFiles(system, vm)]).toEqual([before, files]);
  expect(await listed()).toEqual(['s1', 's2']);
});

it('once the other branch is gone: its record is forgotten, its layers are removed', async () => {
  await takeSnapshot(system, { vm, name: 's2' });
  await revertTo(system, { vm, name: 's1', keepSeconds: 1 });
  await waitUntil('what was discarded to go', async () =>
    (await ownFiles(system, vm)).every((file) => !file.startsWith('.blockflow/')),
  );
  const gone = await failureOf(deleteSnapshot(system, { vm, name: 's2' }));
  expect(gone).toMatchObject({ type: 'Refused', code: 'volume-not-in-chain' });
  // What is to be typed.
  expect(gone.next).toContain(`virsh snapshot-delete ${vm} s2 --metadata`);
  await system.host.virsh('snapshot-delete', vm, 's2', '--metadata');
  expect(gone.next).toContain('`blockflow rm`');
  for (const volume of [`${vm}.s1`, `${vm}-b.s1`]) {
    const request = { pool: POOL, volume, format: 'qcow2' } as const;
    const { deleted } = await (await startRemoval(system, request)).result();
    expect(deleted).toEqual([expect.stringContaining(volume)]);
  }
  expect(await deleteSnapshot(system, { vm, name: 's1' })).toMatchObject({ outcome: 'deleted' });
  expect(await ownFiles(system, vm)).toEqual([`${vm}-b.qcow2`, `${vm}.qcow2`]);
});
