/** EIO below a merge, once and always, at each place where the copy meets the storage. */
import { basename } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { WorkflowFailedError } from '@temporalio/client';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { sample } from '../../support/sample.ts';
import { startDeltaScene } from '../../support/scenes/transfer/delta-scene.ts';
import { extentsOf } from '../../support/guest/disks/extents.ts';
import { makeFaultyQemuImg, type FaultyQemuImg } from '../../support/faults/faulty-qemu-img.ts';
import { injectIoError, type IoError } from '../../support/faults/io-errors.ts';
import { addLayer } from '../../support/guest/disks/layers.ts';
import { bothXml } from '../../support/scenes/merge-checks.ts';
import { expectMerged, untilPhase } from '../../support/scenes/merge-proofs.ts';
import { startSharedSystem, type Scene } from '../../support/scenes/merge-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';

const MIB = 2 ** 20;
type Place = 'read of top' | 'write to base' | 'flush at completion';
const places: Place[] = ['read of top', 'write to base', 'flush at completion'];

let scene: Scene;
let qemuImg: FaultyQemuImg;
let count = 0;
const pathFolder = (root: string) => (qemuImg = makeFaultyQemuImg(root)).folder;
const system = useSystem(() => startSharedSystem({ name: 'eio', pathFolder }));
const forTest = useEach();

const someBytes = async () =>
  (scene = await forTest(startDeltaScene(system, { vm: `eio${++count}`, bytes: 8 * MIB })));
const merge = (more: object = {}) => system.merge({ vm: scene.guest.name, disk: 'vda', ...more });
type Merge = Awaited<ReturnType<typeof merge>>;
const decide = (operation: Merge) => operation.executeUpdate('decide', { args: ['pivot'] });

async function errorAt(place: Place, once: boolean): Promise<IoError> {
  const [path = '', top = ''] = scene.chain;
  const times = once ? { times: 1 } : {};
  if (place === 'read of top') {
    return { path: top, on: 'read', atByte: await dataOf(top), ...times };
  }
  if (place === 'write to base') return { path, on: 'write', ...times };
  // Suspending a guest flushes its images too, and this one twice; QEMU does not mind errors there.
  return { path, on: 'flush', ...(once ? { times: 3 } : {}) };
}

/** Where the data lies in top's file that the guest never touches. */
async function dataOf(top: string): Promise<number> {
  const extents = await extentsOf(top);
  const [largest] = extents.filter((e) => e.depth === 0).sort((a, b) => b.length - a.length);
  return (largest?.offset ?? 0) + MIB;
}

/**
 * Runs a merge into the error: from its beginning on, or from READY on where the pivot shall meet
 * it. It waits for a decision at READY, which is given in the second case.
 */
async function liveMergeInto(place: Place, once: boolean) {
  const error = await errorAt(place, once);
  if (place !== 'flush at completion') {
    const heal = await injectIoError(scene.guest, error);
    return { heal, operation: await merge({ waitForDecision: true }) };
  }
  const operation = await merge({ waitForDecision: true });
  await untilPhase(operation, 'waiting for a decision');
  const heal = await injectIoError(scene.guest, error);
  await decide(operation);
  return { heal, operation };
}

async function commits(effect = 'libvirt.start-commit'): Promise<number> {
  const effects = await system.effects();
  return effects.filter((line) => line === `${effect} ${scene.guest.name}/vda`).length;
}

/** The merge gives up; says what is true; XML, files and a running guest are as they were. */
async function expectGivesUp(operation: Merge, before: string[], why: RegExp): Promise<void> {
  const error: unknown = await operation.result().catch((e: unknown) => e);
  expect(error).toBeInstanceOf(WorkflowFailedError);
  const failure = failureDetails(error);
  expect(failure).toMatchObject({ type: 'Retry', details: { code: 'job-lost' } });
  expect(failure?.details.now).toMatch(why);
  expect(failure?.details.now).toContain('the chain is unchanged, no write is lost');
  expect(failure?.details.next).toMatch(/the storage answered with an error/);
  expect(await bothXml(system, scene.guest.name)).toEqual(before);
  expect(await scene.files()).toEqual(scene.chain.map((path) => basename(path)).sort());
}

/** The guest runs and writes, and no write of its own was ever refused. */
async function expectGuestUntouched(): Promise<void> {
  expect((await system.host.virsh('domstate', scene.guest.name)).trim()).toBe('running');
  await scene.guest.waitForAcks(50);
  expect(scene.guest.serial.writeErrors).toEqual([]);
}

const live = {
  async once(place: Place) {
    await someBytes();
    const { heal, operation } = await liveMergeInto(place, true);
    if (place !== 'flush at completion') {
      await untilPhase(operation, 'waiting for a decision');
      await heal();
      await decide(operation);
    }
    await expectMerged(scene, operation);
    expect(await commits()).toBe(2);
  },
  async always(place: Place) {
    await someBytes();
    const before = await bothXml(system, scene.guest.name);
    const { heal, operation } = await liveMergeInto(place, false);
    const atPivot = /the pivot did not happen: .*Input\/output error/;
    await expectGivesUp(operation, before, place === 'flush at completion' ? atPivot : /job/);
    await expectGuestUntouched();
    await heal();
    await expectMerged(scene, await merge());
  },
};

const EFFECT = 'qemu-img.commit';
const cold = {
  async once(place: Place) {
    await (await someBytes()).guest.kill();
    qemuImg.failCommits(kindOf(place), true);
    await expectMerged(scene, await merge(), 'shut off');
    expect(await commits(EFFECT)).toBe(2);
  },
  async always(place: Place) {
    await (await someBytes()).guest.kill();
    const before = await bothXml(system, scene.guest.name);
    qemuImg.failCommits(kindOf(place), false);
    await expectGivesUp(await merge(), before, /Block job failed: Input\/output error/);
    qemuImg.heal();
    await expectMerged(scene, await merge(), 'shut off');
  },
};
const kindOf = (place: Place) => place.split(' ')[0] as 'read' | 'write' | 'flush';

const cases = places.flatMap((place) =>
  (['once', 'always'] as const).flatMap((often) => [
    { often, place, vm: 'running', run: () => live[often](place) },
    { often, place, vm: 'shut off', run: () => cold[often](place) },
  ]),
);

describe('EIO below a merge', () => {
  it.each(sample('errors of merges', cases, 6))('$often, $place, VM $vm', ({ run }) => run());

  it('always, write to base, of an inner merge: gives up, works later', async () => {
    await someBytes();
    const [base = '', middle = ''] = scene.chain;
    scene.chain.push(await addLayer(scene));
    const before = await bothXml(system, scene.guest.name);
    const heal = await injectIoError(scene.guest, { path: base, on: 'write' });
    await expectGivesUp(await merge({ top: middle }), before, /job/);
    await expectGuestUntouched();
    await heal();
    const result = await (await merge({ top: middle })).result();
    expect(result).toMatchObject({ outcome: 'merged', deleted: [middle] });
    await scene.verifyAfterCrash();
  });
});
