/** The guest is suspended around the pivot: if a process dies then, it resumes with every write. */
import { describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { sample } from '../../support/sample.ts';
import { killPivotScript, signalPivotScript } from '../../support/faults/held-virsh.ts';
import { expectMerged } from '../../support/scenes/merge-proofs.ts';
import { startScene, startSharedSystem, type Scene } from '../../support/scenes/merge-scene.ts';
import { pivotWithoutLibvirtd } from '../../support/host/qmp.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useHeldSystem } from '../../support/scenes/use-held-system.ts';
import { useEach } from '../../support/use.ts';

let scene: Scene;
let uuid: string;
let count = 0;
const mergeIt = () => system.merge({ vm: scene.guest.name, disk: 'vda' });

const { system, held } = useHeldSystem(startSharedSystem);
const forTest = useEach();

async function sceneOf() {
  scene = await forTest(startScene({ system, vm: `web${++count}`, guest: { slots: 32 } }));
  uuid = (await system.host.virsh('domuuid', scene.guest.name)).trim();
}

/** The moments of the pivot at which its script stands, by the command that comes next. */
const MOMENTS = {
  'before the pivot': () => '--pivot',
  // Before the suspension it asks `domblklist --inactive`.
  'after the pivot': () => `domblklist ${uuid}`,
} as const;

/** Starts a merge and returns when the guest is suspended and the script stands at this moment. */
async function standsAt(moment: keyof typeof MOMENTS) {
  await sceneOf();
  held.holdBefore(MOMENTS[moment]());
  const merge = await mergeIt();
  await held.untilHeld();
  expect((await system.host.virsh('domstate', scene.guest.name)).trim()).toBe('paused');
  return merge;
}

const runsAgain = () =>
  waitUntil('the guest to run', async () =>
    (await system.host.virsh('domstate', scene.guest.name)).startsWith('running'),
  );

describe('A guest that the user paused', () => {
  it('stays paused after the merge', async () => {
    await sceneOf();
    await system.host.virsh('suspend', scene.guest.name);
    const result = await expectMerged(scene, await mergeIt(), 'paused');
    expect(result.stallMs).toBe(0);
  });
});

const moments = Object.keys(MOMENTS) as (keyof typeof MOMENTS)[];

describe.each(sample('moments of a pause', moments, 2))('While it is suspended %s', (at) => {
  it('the host agent is killed: the script goes on alone and gives the guest back', async () => {
    const merge = await standsAt(at);
    await system.killRole('host');
    held.release();
    await runsAgain();
    await system.startRole('host');
    await expectMerged(scene, merge);
  });

  it('the agent is killed, its script told to end: that gives the guest back first', async () => {
    const merge = await standsAt(at);
    await system.killRole('host');
    // As by a service manager that ends the whole unit.
    signalPivotScript(uuid, 'SIGTERM');
    held.release();
    await runsAgain();
    await system.startRole('host');
    await expectMerged(scene, merge);
  });

  it('the script is killed: the host agent gives the guest back', async () => {
    const merge = await standsAt(at);
    await killPivotScript(uuid);
    held.release();
    await runsAgain();
    await expectMerged(scene, merge);
  });

  it('script and host agent are killed: the next agent gives the guest back', async () => {
    const merge = await standsAt(at);
    await system.killRole('host');
    await killPivotScript(uuid);
    held.release();
    await system.startRole('host');
    const { stallMs } = await expectMerged(scene, merge);
    // A pivot that is still to do is done with the guest suspended, although it was paused before.
    if (at === 'before the pivot') expect(stallMs).toBeGreaterThan(0);
  });

  it('libvirtd is killed: the guest runs again when it is back', async () => {
    const merge = await standsAt(at);
    await system.host.killLibvirtd();
    held.release();
    await system.host.startLibvirtd();
    await runsAgain();
    await expectMerged(scene, merge);
  });
});

describe('QEMU is killed', () => {
  it('while the guest is suspended before the pivot: it boots, a repeat finishes', async () => {
    const merge = await standsAt('before the pivot');
    await scene.guest.kill();
    held.release();
    await expectStopped(merge);
    await scene.guest.start();
    await expectMerged(scene, await mergeIt());
  });

  it('while the guest is suspended after the pivot: the merge ends, with the VM down', async () => {
    const merge = await standsAt('after the pivot');
    await scene.guest.kill();
    held.release();
    await expectMerged(scene, merge, 'shut off');
  });

  it('after it pivoted while libvirtd is dead: the VM boots with every write (H1)', async () => {
    const merge = await standsAt('before the pivot');
    await system.host.killLibvirtd();
    held.release();
    await pivotWithoutLibvirtd(system.host, scene.guest.name);
    await scene.guest.kill();
    await system.host.startLibvirtd();
    await expectStopped(merge);
    await scene.guest.start();
    await expectMerged(scene, await mergeIt());
  });
});

describe('QEMU pivots while libvirtd is dead', () => {
  it('the guest runs again once libvirtd is back and has repaired its record', async () => {
    const merge = await standsAt('before the pivot');
    await system.host.killLibvirtd();
    held.release();
    await pivotWithoutLibvirtd(system.host, scene.guest.name);
    await system.host.startLibvirtd();
    await runsAgain();
    await expectMerged(scene, merge);
  });
});

async function expectStopped(merge: Awaited<ReturnType<typeof mergeIt>>): Promise<void> {
  const error = await merge.result().then(
    () => null,
    (e: unknown) => e,
  );
  expect(failureDetails(error)).toMatchObject({ type: 'Retry', details: { code: 'vm-stopped' } });
}
