/** A deletion inside of images that does not go straight to its end, and what goes on with it. */
import { describe, expect, it } from '@jest/globals';
import type { EffectName } from '../../../activities/door/effect.ts';
import { whileHeld } from '../../../activities/adapters/qemu-img/qemu-img.ts';
import { armFault, isArmed } from '../../support/faults/faults.ts';
import { leakCluster, takeInner } from '../../support/guest/disks/inner-snapshots.ts';
import { DISKS, listed } from '../../support/guest/disks/three-disks.ts';
import { startSharedSystem } from '../../support/scenes/merge-scene.ts';
import {
  expectUntainted,
  startInside,
  type InsideScene,
} from '../../support/scenes/inside-scene.ts';
import { deleteSnapshot, startDeletion } from '../../support/scenes/snapshot-scene.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';
import { sample } from '../../support/sample.ts';
import { waitUntil } from '../../support/wait-until.ts';

const system = useSystem(() => startSharedSystem({ name: 'inside' }));
const forTest = useEach();
let count = 0;
let scene: InsideScene;
let vm: string;
const prepare = async (...names: string[]) => {
  vm = `in${++count}`;
  scene = await forTest(startInside(system, vm, names));
};
const request = (name = 's1') => ({ vm, name });

async function expectDeleted(): Promise<void> {
  expect(await listed(scene)).toEqual({ s2: null });
  expect(await scene.inside()).toEqual({ vda: ['2 s2'], vdb: ['2 s2'], vdc: ['2 s2'] });
  await scene.expectSound();
}

describe('2 of 3', () => {
  it('are done when another process has the third image: told, listed, and continued', async () => {
    await prepare('s1', 's2');
    await whileHeld(scene.images.vdc, async () => {
      const failure = await failureOf(deleteSnapshot(system, request()));
      expect(failure).toMatchObject({ type: 'Retry', code: 'partly-deleted' });
      expect(failure.now).toMatch(
        /^deleted from 2 of 3 disks \(vda, vdb\); vdc refused: some process has \S+ open/,
      );
      expect(await listed(scene)).toEqual({ s1: null, s2: 's1' });
      const left = { vda: ['2 s2'], vdb: ['2 s2'], vdc: ['1 s1', '2 s2'] };
      expect(await scene.inside()).toEqual(left);
    });
    const { disks } = await deleteSnapshot(system, request());
    expect(disks.map(({ disk, state }) => `${disk} ${state}`)).toEqual(
      DISKS.map((disk) => `${disk} deleted`),
    );
    await expectDeleted();
  });

  it('none is done when the first image is in use, and nothing is left behind', async () => {
    await prepare('s1', 's2');
    await whileHeld(scene.images.vda, async () => {
      const failure = await failureOf(deleteSnapshot(system, request()));
      expect(failure).toMatchObject({ type: 'Refused', code: 'volume-in-use' });
    });
    const all = ['1 s1', '2 s2'];
    expect(await scene.inside()).toEqual({ vda: all, vdb: all, vdc: all });
  });
});

describe('A cancel', () => {
  /** It reaches the workflow while the agent stands still after the effect on vda. */
  async function cancelAfterFirst(effect: EffectName) {
    armFault(system.trace, { effect, action: 'stop-after' });
    const deletion = await startDeletion(system, request());
    await system.roleStopped('host');
    await deletion.cancel();
    system.signalRole('host', 'SIGCONT');
    return deletion;
  }

  it('lets the disk that it met be done, and leaves the others', async () => {
    await prepare('s1', 's2');
    const deletion = await cancelAfterFirst('image.delete-snapshot');
    await expect(deletion.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    const both = ['1 s1', '2 s2'];
    expect(await scene.inside()).toEqual({ vda: ['2 s2'], vdb: both, vdc: both });
    expect(await listed(scene)).toEqual({ s1: null, s2: 's1' });
    await deleteSnapshot(system, request());
    await expectDeleted();
  });

  it('is refused when no disk has it any more', async () => {
    await prepare('s1', 's2');
    const deletion = await cancelAfterFirst('libvirt.delete-snapshot-record');
    const { warnings } = await deletion.result();
    expect(warnings).toEqual([expect.stringContaining('cancel refused: no disk has it any more')]);
    await expectDeleted();
  });
});

const points = ['before', 'after'] as const;
const cases = (effects: readonly EffectName[]) =>
  effects.flatMap((effect) => points.map((point) => [effect, point] as const));

const whileDown = cases([
  'image.delete-snapshot',
  'image.repair-leaks',
  'libvirt.delete-snapshot-record',
]);
const whileRunning = cases(['libvirt.redefine-snapshot', 'libvirt.delete-snapshot']);

/** The agent dies at the effect; then, with `terminate`, the request is made again. */
async function strike(effect: EffectName, point: string, terminate: boolean): Promise<void> {
  armFault(system.trace, { effect, action: `kill-${point}` as 'kill-before' });
  const deletion = await startDeletion(system, request());
  await system.roleEnded('host');
  expect(isArmed(system.trace)).toBe(false);
  if (terminate) await deletion.terminate();
  await system.startRole('host');
  if (!terminate) await deletion.result();
  const again = await deleteSnapshot(system, request());
  if (!terminate) expect(again.outcome).toBe('already-done');
}

describe.each([false, true])('An agent that is killed (terminated, too: %s)', (terminate) => {
  it.each(sample('deaths in deletions inside, VM down', whileDown, 2))(
    'while the VM is down, at %s, %s',
    async (effect, point) => {
      await prepare('s1', 's2');
      await leakCluster(scene.images.vdb);
      await strike(effect, point, terminate);
      await expectDeleted();
    },
  );

  it.each(sample('deaths in deletions inside, VM running', whileRunning, 2))(
    'while the VM runs, at %s, %s',
    async (effect, point) => {
      await prepare('s2');
      for (const disk of DISKS) await takeInner(scene.images[disk], 's1');
      await scene.guest.start(60_000);
      await scene.guest.waitForAcks(17, 60_000);
      await strike(effect, point, terminate);
      expect(await listed(scene)).toEqual({ s2: null });
      expect(await scene.inside()).toEqual({ vda: ['1 s2'], vdb: ['1 s2'], vdc: ['1 s2'] });
      await expectUntainted(scene);
      await scene.verifyAfterCrash();
    },
  );
});

describe('Other processes', () => {
  it('libvirtd is killed at the live deletion: the images say what is left to do', async () => {
    await prepare('s1', 's2');
    await scene.guest.start(60_000);
    await scene.guest.waitForAcks(1, 60_000);
    armFault(system.trace, { effect: 'libvirt.delete-snapshot', action: 'stop-before' });
    const deletion = await startDeletion(system, request());
    await system.roleStopped('host');
    await system.host.killLibvirtd();
    system.signalRole('host', 'SIGCONT');
    await system.host.startLibvirtd();
    await deletion.result();
    await scene.verifyAfterCrash();
    await expectDeleted();
  });

  it('the VM starts and stops between plan and effect: it is done as the VM is then', async () => {
    await prepare('s1', 's2');
    armFault(system.trace, { effect: 'image.delete-snapshot', action: 'stop-after' });
    const deletion = await startDeletion(system, request());
    await system.roleStopped('host');
    // QEMU cannot have the first image yet; the others it would get.
    await expect(system.host.virsh('start', vm)).rejects.toThrow(/lock/);
    armFault(system.trace, { effect: 'libvirt.delete-snapshot', action: 'twice' });
    system.signalRole('host', 'SIGCONT');
    await waitUntil('the first image to be free', async () =>
      system.host.virsh('start', vm).then(
        () => true,
        () => false,
      ),
    );
    await deletion.result();
    expect(await listed(scene)).toEqual({ s2: null });
    await scene.guest.waitForAcks(1, 60_000);
    await scene.verifyAfterCrash();
    await expectDeleted();
  });
});
