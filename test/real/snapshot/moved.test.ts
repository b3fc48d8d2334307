/** Snapshots of VMs whose disks move to another pool meanwhile. */
import { beforeEach, expect, it } from '@jest/globals';
import { expectGuestData } from '../../support/guest/guest-data.ts';
import { connectTo } from '../../support/host/roles/blockflow-client.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { defineWithSnapshot, revertTo } from '../../support/scenes/revert-scene.ts';
import {
  deleteSnapshot,
  imagesOf,
  sourcesOf,
  takeSnapshot,
  type SeveralDisks,
} from '../../support/scenes/snapshot-scene.ts';
import { startDisksMove } from '../../support/scenes/transfer/disks-scene.ts';
import { startMoveSystem, VAULT } from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';

const system = useSystem(() => startMoveSystem({ name: 'moved' }));
const blockflow = use('the client', () => connectTo(system));
let count = 0;
let scene: SeveralDisks;
let vm: string;
beforeEach(async () => {
  vm = `moved${++count}`;
  scene = await defineWithSnapshot(system, vm);
});

const sources = () => sourcesOf(system, vm, '--inactive');
const inVault = () =>
  Object.fromEntries(
    Object.entries(scene.disks).map(([disk, path]) => [
      disk,
      path.replace('/images/', `/${VAULT}/`),
    ]),
  );

async function move(): Promise<void> {
  const result = await (await startDisksMove({ system, guest: scene.guest })).result();
  for (const id of result.removals) await system.client.workflow.getHandle(id).result();
}
async function expectNoFaults(): Promise<void> {
  const tree = await blockflow.snapshots(vm);
  expect(tree.snapshots.flatMap(({ faults }) => faults)).toEqual([]);
  expect(tree.unnamedLayers).toEqual([]);
}

it.each([false, true])('They follow, and are deleted there; the VM runs: %s', async (runs) => {
  await takeSnapshot(system, { vm, name: 's2' });
  if (runs) {
    await scene.guest.start(60_000);
    await scene.guest.waitForAcks(20);
  }
  await move();
  await expectNoFaults();
  await takeSnapshot(system, { vm, name: 's3' });
  for (const name of ['s1', 's3', 's2']) {
    expect(await deleteSnapshot(system, { vm, name })).toMatchObject({ outcome: 'deleted' });
    await expectNoFaults();
  }
  if (runs) {
    await scene.guest.waitForAcks(20);
    await scene.guest.kill();
  }
  expect(await sources()).toEqual(inVault());
  await expectGuestData(scene.guest, ...imagesOf(inVault()));
});

it('after a revert: the undo is refused, the snapshot is deleted', async () => {
  await revertTo(system, { vm, name: 's1' });
  await move();
  await expectNoFaults();
  const undo = await failureOf(revertTo(system, { vm, undo: true }));
  expect(undo).toMatchObject({ type: 'Refused', code: 'nothing-to-undo' });
  expect(await deleteSnapshot(system, { vm, name: 's1' })).toMatchObject({ outcome: 'deleted' });
  expect(await sources()).toEqual(inVault());
});
