/** A deletion of a snapshot that does not go straight to its end, and what goes on with it. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { BlockflowError, DeleteSnapshotResult, Operation } from '../../../client/index.ts';
import { connectTo } from '../../support/host/roles/blockflow-client.ts';
import { createImage } from '../../support/guest/shut-off-vm.ts';
import {
  DISKS,
  listed,
  startThreeDisks,
  type ThreeDisks,
} from '../../support/guest/disks/three-disks.ts';
import { expectLeftClean } from '../../support/scenes/merge-checks.ts';
import { SLOW } from '../../support/scenes/copying.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use, useEach } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

type Deletion = Operation<DeleteSnapshotResult>;

const system = useSystem();
const blockflow = use('the client', () => connectTo(system));
const forTest = useEach();
let scene: ThreeDisks;
let count = 0;

const vm = () => scene.guest.name;
const request = () => ({ vm: vm(), name: 'one', bandwidthBytesPerSecond: SLOW, atOnce: 1 });
const base = (disk: string) => join(scene.pool, `${vm()}-${disk}.qcow2`);

const disksOf = async (deletion: Deletion) => {
  const { status } = await deletion.status();
  return status?.operation === 'DeleteSnapshot' ? status.disks : [];
};
async function untilStates(deletion: Deletion, wanted: string): Promise<void> {
  let last: Awaited<ReturnType<typeof disksOf>> = [];
  await waitUntil(
    () => `${wanted}; it is ${JSON.stringify(last)}`,
    async () => {
      last = await disksOf(deletion);
      return last.map(({ disk, state }) => `${disk} ${state}`).join(', ') === wanted;
    },
  );
}

/** Starts the deletion; vda gets READY at once, as the guest stands still until then. */
async function untilMerging(atOnce: number, wanted: string): Promise<Deletion> {
  const name = `web${++count}`;
  scene = await forTest(startThreeDisks({ system, vm: name, snapshots: ['one'], mebibytes: 64 }));
  await system.host.virsh('suspend', name);
  const deletion = await blockflow.deleteSnapshot({ ...request(), atOnce });
  await untilStates(deletion, wanted);
  await system.host.virsh('resume', name);
  return deletion;
}
const untilOneOfThree = () => untilMerging(1, 'vda merged, vdb merging, vdc waiting');

const failureOf = (deletion: Deletion) =>
  deletion.result().then(
    (result) => {
      throw new Error(`it ended well: ${result.summary}`);
    },
    (error: BlockflowError) => error,
  );

/** The same request again ends well, and nothing is left behind. */
async function expectGoesOn(): Promise<void> {
  const again = await blockflow.deleteSnapshot({ ...request(), bandwidthBytesPerSecond: 0 });
  const result = await again.result();
  expect(result).toMatchObject({
    outcome: 'deleted',
    disks: DISKS.map((disk) => ({ disk, state: 'merged' })),
  });
  await expectDeleted();
}

async function expectDeleted(): Promise<void> {
  expect(await listed(scene)).toEqual({});
  await expectLeftClean(scene, [`${vm()}.qcow2`, `${vm()}-vdb.qcow2`, `${vm()}-vdc.qcow2`]);
  await scene.expectData();
  await scene.verifyAfterCrash();
}

describe('2 of 3', () => {
  it('are merged when the third is refused: told, listed, and continued', async () => {
    const deletion = await untilOneOfThree();
    const clone = await createImage(join(scene.pool, `${vm()}-clone`), { below: base('vdc') });
    expect(await deletion.setBandwidth(0)).toBe('no limit for each merge: vdb');
    const failure = await failureOf(deletion);
    expect(failure).toMatchObject({ type: 'Retry', details: { code: 'partly-deleted' } });
    expect(failure.details.now).toMatch(
      `2 of 3 disks merged (vda, vdb); vdc refused: ${base('vdc')} is also the backing file of`,
    );
    const { snapshots } = await blockflow.snapshots(vm());
    expect(snapshots[0]?.faults).toEqual([
      expect.stringContaining('its deletion is not complete: vda, vdb merged, left is vdc; '),
    ]);
    // As long as the reason is there, all that is left is refused, but not the whole.
    const again = await failureOf(await blockflow.deleteSnapshot(request()));
    expect(again.details).toMatchObject({ code: 'partly-deleted', now: failure.details.now });
    await rm(clone);
    await expectGoesOn();
  });
});

describe('a disk that waits for its turn', () => {
  it('is kept: a merge of it is refused, and says by what', async () => {
    const deletion = await untilOneOfThree();
    const merge = blockflow.merge({ vm: vm(), disk: 'vdc' });
    const words = `snapshot delete ${vm()} one`;
    await expect(merge).rejects.toMatchObject({
      details: { code: 'other-operation', now: expect.stringContaining(words) },
    });
    await deletion.setBandwidth(0);
    expect(await deletion.result()).toMatchObject({ outcome: 'deleted' });
    await expectDeleted();
  });

  it('refuses the whole when another operation has it, before anything is begun', async () => {
    const name = `web${++count}`;
    scene = await forTest(startThreeDisks({ system, vm: name, snapshots: ['one'], mebibytes: 64 }));
    const limit = { bandwidthBytesPerSecond: SLOW };
    const merge = await blockflow.merge({ vm: name, disk: 'vdc', ...limit });
    const jobOf = (disk: string) => system.host.virsh('blockjob', name, disk, '--raw');
    await waitUntil('the merge', async () => (await jobOf('vdc')).includes('type='));
    const failure = await failureOf(await blockflow.deleteSnapshot(request()));
    expect(failure).toMatchObject({ type: 'Refused', details: { code: 'other-operation' } });
    expect(failure.details.now).toBe(`another operation runs on ${name}/vdc: merge ${name} vdc`);
    expect(await jobOf('vda')).not.toContain('type=');
    await merge.cancel();
    await expect(merge.result()).rejects.toMatchObject({ type: 'Cancelled' });
    await expectGoesOn();
  });
});

describe('what is left goes on', () => {
  it('after a terminate, with the merge that still runs', async () => {
    const deletion = await untilOneOfThree();
    await system.client.workflow.getHandle(vm()).terminate();
    await expect(deletion.result()).rejects.toMatchObject({ type: 'Terminated' });
    const again = await blockflow.deleteSnapshot({ ...request(), bandwidthBytesPerSecond: 0 });
    await untilStates(again, 'vda merged, vdb merging, vdc waiting');
    const merge = await blockflow.operation(vm(), 'vdb');
    expect((await merge.status()).state).toBe('running');
    await merge.setBandwidth(0);
    const { disks } = await again.result();
    expect(disks.map(({ state }) => state)).toEqual(['merged', 'merged', 'merged']);
    await expectDeleted();
  });

  it('after its merge was terminated: told, and adopted by the next request', async () => {
    const deletion = await untilOneOfThree();
    await system.client.workflow.getHandle(`${vm()}/vdb`).terminate();
    await untilStates(deletion, 'vda merged, vdb failed, vdc merging');
    await deletion.setBandwidth(0);
    const failure = await failureOf(deletion);
    expect(failure).toMatchObject({ type: 'Retry', details: { code: 'partly-deleted' } });
    expect(failure.details.now).toMatch(
      /^2 of 3 disks merged \(vda, vdc\); vdb failed: its merge was terminated from outside/,
    );
    await expectGoesOn();
  });

  it('by itself when every agent and the orchestrator are killed', async () => {
    const deletion = await untilOneOfThree();
    for (const role of ['host', 'spm', 'orchestrator'] as const) {
      await system.killRole(role);
      await system.startRole(role);
    }
    await system.host.killLibvirtd();
    await system.host.startLibvirtd();
    await deletion.setBandwidth(0);
    expect(await deletion.result()).toMatchObject({ outcome: 'deleted' });
    await expectDeleted();
  });
});

describe('a cancel', () => {
  it('ends the merge that runs, keeps what is merged, and says which', async () => {
    const deletion = await untilOneOfThree();
    await deletion.cancel();
    const failure = await failureOf(deletion);
    expect(failure).toMatchObject({ type: 'Cancelled' });
    expect(failure.details.now).toBe(
      'cancelled: 1 of 3 disks merged (vda); vdb left; vdc left; ' +
        'the same request goes on with what is left',
    );
    expect(await system.host.virsh('blockjob', vm(), 'vdb', '--raw')).not.toContain('type=');
    expect(await scene.files()).toContain(`${vm()}-one-vdb`);
    await expectGoesOn();
  });

  it('ends the merge of an earlier run, too', async () => {
    await untilOneOfThree();
    await system.client.workflow.getHandle(vm()).terminate();
    const again = await blockflow.deleteSnapshot(request());
    await untilStates(again, 'vda merged, vdb merging, vdc waiting');
    await again.cancel();
    const failure = await failureOf(again);
    expect(failure.details.now).toContain('1 of 3 disks merged (vda); vdb left; vdc left');
    expect((await (await blockflow.operation(vm(), 'vdb')).status()).state).toBe('cancelled');
    await expectGoesOn();
  });

  it('ends all merges that run, of which there are several at once', async () => {
    const deletion = await untilMerging(3, 'vda merged, vdb merging, vdc merging');
    const before = await scene.files();
    await deletion.cancel();
    expect((await failureOf(deletion)).details.now).toContain('vdb left; vdc left');
    expect(await scene.files()).toEqual(before);
    await expectGoesOn();
  });
});
