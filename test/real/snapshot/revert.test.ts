/** A VM goes back to a snapshot, and comes back from there. */
import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { expectNoLoss, verifyGuestData } from '../../support/guest/oracle.ts';
import { createImage } from '../../support/guest/shut-off-vm.ts';
import { connectTo } from '../../support/host/roles/blockflow-client.ts';
import { commandLine, environmentOf, type Typed } from '../../support/host/roles/command-line.ts';
import { says } from '../../support/host/roles/says.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import {
  defineWithSnapshot,
  ownFiles,
  revertTo,
  startRevert,
} from '../../support/scenes/revert-scene.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import {
  sourcesOf,
  startSnapshot,
  takeSnapshot,
  type SeveralDisks,
} from '../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

const system = useSystem(() => startSharedSystem({ name: 'reverts' }));
const blockflow = use('the client', () => connectTo(system));
let typed: Typed;
beforeAll(() => void (typed = commandLine(environmentOf(system))));
let count = 0;
let scene: SeveralDisks;
let vm: string;
beforeEach(async () => {
  vm = `back${++count}`;
  scene = await defineWithSnapshot(system, vm);
});

const sources = () => sourcesOf(system, vm, '--inactive');
const current = async () => (await system.host.virsh('snapshot-current', vm, '--name')).trim();
const isHidden = (file: string) => file.startsWith('.blockflow/');
const hidden = async () => (await ownFiles(system, vm)).filter(isHidden);
const seen = async () => (await ownFiles(system, vm)).filter((file) => !isHidden(file));

async function write(acknowledgements: number): Promise<number> {
  await scene.guest.start(60_000);
  await scene.guest.waitForAcks(acknowledgements);
  await scene.guest.kill();
  return scene.guest.acknowledged();
}

describe('A VM with two disks', () => {
  it('boots the data of the snapshot, nothing later; an undo has the later data', async () => {
    const { guest } = scene;
    const then = guest.acknowledged();
    const acknowledged = await write(40);
    const before = await sources();
    const result = await revertTo(system, { vm, name: 's1', start: true });
    expect(result).toMatchObject({ outcome: 'reverted', snapshot: 's1', started: true });
    expect(result.warnings).toEqual([]);
    const now = await sources();
    expect(Object.keys(now)).toEqual(['vda', 'vdb']);
    expect(Object.values(now)).toEqual(result.chainAfter);
    await waitUntil(
      () => 'the guest to boot',
      () => guest.serial.boots.length === 3,
    );
    const { newest = 0 } = guest.serial.boots.at(-1) ?? {};
    expect(newest).toBeGreaterThanOrEqual(then);
    // Writes that were under way when the guest was killed.
    expect(newest).toBeLessThan(then + 10);
    await guest.kill();
    const undone = await revertTo(system, { vm, undo: true });
    expect(undone).toMatchObject({ outcome: 'undone', started: false, warnings: [] });
    expect(await sources()).toEqual(before);
    const { vda: imagePath = '' } = before;
    const { parameters } = guest.disk;
    const question = { imagePath, format: 'qcow2', parameters, acknowledged };
    expectNoLoss(await verifyGuestData(question));
    expect(await hidden()).toHaveLength(2);
    expect(await revertTo(system, { vm, undo: true })).toMatchObject({ outcome: 'already-done' });
  });

  it('lets the next snapshot grow from where it is; the old branch stays', async () => {
    const atSecond = await write(20);
    await takeSnapshot(system, { vm, name: 's2' });
    await write(20);
    await revertTo(system, { vm, name: 's1' });
    expect(await current()).toBe('s1');
    await takeSnapshot(system, { vm, name: 's3' });
    const parent = (name: string) => system.host.virsh('snapshot-parent', vm, name);
    expect((await parent('s3')).trim()).toBe('s1');
    expect((await parent('s2')).trim()).toBe('s1');
    await revertTo(system, { vm, name: 's2' });
    expect(await current()).toBe('s2');
    const { parameters } = scene.guest.disk;
    const { vda: imagePath = '' } = await sources();
    const question = { imagePath, format: 'qcow2', parameters, acknowledged: atSecond };
    expectNoLoss(await verifyGuestData(question));
  });

  it('keeps what a later snapshot has above it, as the list says', async () => {
    await takeSnapshot(system, { vm, name: 's2' });
    await revertTo(system, { vm, name: 's1' });
    const { snapshots } = await blockflow.snapshots(vm);
    expect(snapshots).toMatchObject([
      { name: 's1', faults: [], disks: [{ found: 'in chain' }, { found: 'in chain' }] },
      { name: 's2', faults: [], disks: [{ found: 'kept' }, { found: 'kept' }] },
    ]);
    expect(snapshots[1]?.allocatedBytes).toBeGreaterThan(0);
    await says(typed('snapshot', 'list', vm), 0, 'vda (kept by a revert)');
  });

  it('lists the layers that it has; a merge that ends the undo warns', async () => {
    await revertTo(system, { vm, name: 's1' });
    const { snapshots } = await blockflow.snapshots(vm);
    expect(snapshots).toMatchObject([
      { name: 's1', faults: [], disks: [{ found: 'in chain' }, { found: 'in chain' }] },
    ]);
    const { vda: base = '' } = await sources();
    await takeSnapshot(system, { vm, name: 's2' });
    expect(await merged(system, { vm, disk: 'vda', base })).toMatchObject({ warnings: [] });
    const { warnings } = await merged(system, { vm, disk: 'vda' });
    expect(warnings).toEqual([expect.stringContaining('--undo` is not possible after it')]);
    const undo = revertTo(system, { vm, undo: true });
    expect(await failureOf(undo)).toMatchObject({ type: 'Refused', code: 'nothing-to-undo' });
    await write(20);
  });

  it('has what it discarded deleted when its time is over, and no undo then', async () => {
    await revertTo(system, { vm, name: 's1', keepSeconds: 1 });
    await waitUntil(
      () => 'the discarded layers to go',
      async () => (await hidden()).length === 0,
    );
    expect(await seen()).toHaveLength(4);
    const undo = revertTo(system, { vm, undo: true });
    expect(await failureOf(undo)).toMatchObject({ type: 'Refused', code: 'nothing-to-undo' });
    await write(20);
  });
});

describe('What dies', () => {
  it.each([
    ['kill-before', ['elsewhere', 'elsewhere']],
    ['kill-after', ['elsewhere', 'kept']],
  ] as const)(
    'the SPM agent at the first retirement, %s: it is completed',
    async (action, found) => {
      await system.killRole('spm');
      await system.startRole('spm', [{ effect: 'storage.quarantine-volume', action }]);
      await takeSnapshot(system, { vm, name: 's2' });
      const revert = await startRevert(system, { vm, name: 's1' });
      await system.roleEnded('spm');
      expect(Object.values(await sources())[0]).not.toContain('.s2');
      const { snapshots } = await blockflow.snapshots(vm);
      expect(snapshots[1]?.disks.map((disk) => disk.found).sort()).toEqual(found);
      await system.startRole('spm');
      expect(await revert.result()).toMatchObject({ outcome: 'reverted' });
      expect(await hidden()).toHaveLength(2);
      await write(20);
    },
  );

  it('the SPM agent, while a clone is made: what it stands on stays until it is gone', async () => {
    const { vda = '' } = await sources();
    await system.killRole('spm');
    await system.startRole('spm', [{ effect: 'storage.quarantine-volume', action: 'kill-before' }]);
    const revert = await startRevert(system, { vm, name: 's1', keepSeconds: 1 });
    await system.roleEnded('spm');
    const clone = await createImage(`${vda}.clone`, { below: vda });
    await system.startRole('spm');
    const failure = await failureOf(revert.result());
    expect(failure).toMatchObject({ type: 'Hold', code: 'unproven' });
    expect(failure.now).toContain(`${clone} stands on ${vda}; it is kept`);
    expect(await seen()).toContain(basename(vda));
    await rm(clone);
    expect(await revertTo(system, { vm, name: 's1' })).toMatchObject({ outcome: 'reverted' });
    await write(20);
  });

  it.each(['revert', 'undo'] as const)(
    'the workflow after the switch of a %s: the same request completes it',
    async (what) => {
      if (what === 'undo') await revertTo(system, { vm, name: 's1' });
      const request = what === 'undo' ? { vm, undo: true } : { vm, name: 's1' };
      await terminatedAfterSwitch(request);
      const switched = await sources();
      const create = startSnapshot(system, { vm, name: 's9' });
      expect(await failureOf((await create).result())).toMatchObject({ code: 'other-operation' });
      const result = await revertTo(system, request);
      expect(result.outcome).toBe(what === 'undo' ? 'undone' : 'reverted');
      expect(await sources()).toEqual(switched);
      expect([await seen(), await hidden()].map((files) => files.length)).toEqual([4, 2]);
      await write(20);
    },
  );

  it('the workflow after the switch, before an undo: what either has left is deleted', async () => {
    await terminatedAfterSwitch({ vm, name: 's1' });
    expect(await revertTo(system, { vm, undo: true })).toMatchObject({ outcome: 'undone' });
    expect([await seen(), await hidden()].map((files) => files.length)).toEqual([4, 2]);
    // The run that the note names has the layers, and has set their end.
    const own = await readdir(join(system.host.pools, POOL, '.blockflow'), { recursive: true });
    const owners = own.flatMap((file) => /\/([^/]+)\.json$/.exec(file)?.[1] ?? []);
    const expiryOf = (owner: string) => system.client.workflow.getHandle(`${vm}/revert/${owner}`);
    const states = owners.map((owner) =>
      expiryOf(owner)
        .describe()
        .then(({ status }) => status.name)
        .catch(() => 'none'),
    );
    expect(await Promise.all(states)).toContain('RUNNING');
    await write(20);
  });
});

/** Its SPM agent, killed before the layers are out of sight, runs again. */
async function terminatedAfterSwitch(request: Parameters<typeof startRevert>[1]): Promise<void> {
  await system.killRole('spm');
  await system.startRole('spm', [{ effect: 'storage.quarantine-volume', action: 'kill-before' }]);
  const first = await startRevert(system, request);
  await system.roleEnded('spm');
  await first.terminate();
  await system.startRole('spm');
}
