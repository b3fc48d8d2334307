/** The three negative flows of LiveMerge's first specification, by their names. */
import { basename } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { WorkflowFailedError } from '@temporalio/client';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import type { LiveMergeRequest } from '../../../workflows/merge/request.ts';
import { auditEvents, expectMerged } from '../../support/scenes/merge-proofs.ts';
import { SLOW, untilCopying } from '../../support/scenes/copying.ts';
import { activeLayer, startScene, type Scene } from '../../support/scenes/merge-scene.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';

let scene: Scene;
let count = 0;

const system = useSystem();
const forTest = useEach();

/** A merge that copies, slowly enough to be caught at it. */
async function copyingMerge(more: Partial<LiveMergeRequest> = {}) {
  scene = await forTest(startScene({ system, vm: `web${++count}`, snapshotNames: ['s1'] }));
  const request = { vm: scene.guest.name, disk: 'vda', bandwidthBytesPerSecond: SLOW, ...more };
  const merge = await system.merge(request);
  await untilCopying(scene);
  return merge;
}
const again = () => system.merge({ vm: scene.guest.name, disk: 'vda' });

const destroy = () => system.host.virsh('destroy', scene.guest.name);
const endQemu = () => process.kill(system.host.qemuPid(scene.guest.name), 'SIGTERM');
const snapshots = async () =>
  (await system.host.virsh('snapshot-list', scene.guest.name, '--name')).trim();

async function shutDown(): Promise<void> {
  const { name } = scene.guest;
  await waitUntil(`${name} to be shut off`, async () =>
    (await system.host.virsh('domstate', name)).startsWith('shut off'),
  );
}

describe('Negative flow (engine restart during live merge)', () => {
  it('the orchestrator is killed: snapshot and volume are gone when it is back', async () => {
    const merge = await copyingMerge();
    await system.killRole('orchestrator');
    await scene.guest.waitForAcks(50);
    await system.startRole('orchestrator');
    await merge.executeUpdate('bandwidth', { args: [0] });
    await expectMerged(scene, merge);
    expect(await snapshots()).toBe('');
  });
});

describe('Negative flow (vdsm restart during live merge)', () => {
  it('the host agent is killed: snapshot and volume are gone when it is back', async () => {
    const merge = await copyingMerge();
    await system.killRole('host');
    await scene.guest.waitForAcks(50);
    await system.startRole('host');
    await merge.executeUpdate('bandwidth', { args: [0] });
    await expectMerged(scene, merge);
    expect(await snapshots()).toBe('');
  });
});

describe('Negative flow (VM crashes during live merge)', () => {
  it.each<[string, () => unknown, string]>([
    ['QEMU is killed', () => scene.guest.kill(), 'crashed'],
    ['the VM is destroyed', () => destroy(), 'destroyed'],
    // The test guest has no ACPI; to libvirt a QEMU that got SIGTERM is a guest that shut down.
    ['the guest shuts down', () => endQemu(), 'shutdown'],
  ])('%s: it fails with the reason, the snapshot remains', async (_, stop, reason) => {
    const merge = await copyingMerge();
    await stop();
    await shutDown();
    await expectStopped(merge, reason);
    expect(await snapshots()).toBe('s1');
    expect((await activeLayer(scene.guest)).path).toBe(scene.chain.at(-1));
    expect(await scene.files()).toEqual(scene.chain.map((path) => basename(path)).sort());
    const xml = await system.host.virsh('dumpxml', scene.guest.name, '--inactive');
    expect(xml).not.toContain('urn:blockflow');
    await scene.verifyAfterCrash();
  });

  it('the same request again finishes the work while the VM is down', async () => {
    const merge = await copyingMerge();
    await scene.guest.kill();
    await expectStopped(merge, 'crashed');
    const repeated = await again();
    expect(await expectMerged(scene, repeated, 'shut off')).toMatchObject({ mode: 'cold' });
    expect(await snapshots()).toBe('');
  });

  it('the VM boots with every write, and the same request finishes the work live', async () => {
    const merge = await copyingMerge();
    await scene.guest.kill();
    await expectStopped(merge, 'crashed');
    await scene.guest.start();
    await scene.guest.waitForAcks(20);
    expect(await expectMerged(scene, await again())).toMatchObject({ mode: 'active' });
  });

  it.each<[string, () => unknown]>([
    ['crashes', () => scene.guest.kill()],
    ['is destroyed', () => destroy()],
  ])('with --on-vm-stop continue it goes on cold when the VM %s', async (_, stop) => {
    // The limit holds for the offline copy too, and cannot be changed while that runs.
    const merge = await copyingMerge({ onVmStop: 'continue', bandwidthBytesPerSecond: 8 * SLOW });
    await stop();
    await shutDown();
    expect(await expectMerged(scene, merge, 'shut off')).toMatchObject({ mode: 'cold' });
  });
});

async function expectStopped(merge: Awaited<ReturnType<typeof again>>, reason: string) {
  const error = await merge.result().then(
    () => null,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(WorkflowFailedError);
  const failure = failureDetails(error);
  expect(failure).toMatchObject({ type: 'Retry', details: { code: 'vm-stopped' } });
  expect(failure?.details.now).toContain(reason);
  const events = await auditEvents(scene);
  expect(events.map(({ kind }) => kind)).toEqual(['started', 'failed']);
  expect(events.at(-1)?.reason).toContain(reason);
  expect(events.at(-1)?.before).toEqual(scene.chain);
}
