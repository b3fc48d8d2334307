/** Cancel before and after the point of no return; a workflow that is terminated from outside. */
import { basename, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { WorkflowFailedError } from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { statusQuery } from '../../../workflows/kinds.ts';
import {
  auditEvents,
  expectMerged,
  expectUnchanged,
  untilPhase,
} from '../../support/scenes/merge-proofs.ts';
import { SLOW, untilCopying } from '../../support/scenes/copying.ts';
import { expectRefused } from '../../support/scenes/merge-checks.ts';
import { POOL, startScene, type Scene } from '../../support/scenes/merge-scene.ts';
import type { Fault } from '../../support/faults/faults.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';
import { untilStatus } from '../../support/scenes/until-status.ts';

let scene: Scene;
let count = 0;

const system = useSystem();
const forTest = useEach();

const sceneOf = async () => (scene = await forTest(startScene({ system, vm: `web${++count}` })));
const disk = () => ({ vm: scene.guest.name, disk: 'vda' });
type Merge = Awaited<ReturnType<typeof system.merge>>;

/** A merge that copies, slowly enough to be caught at it. */
async function copying(): Promise<Merge> {
  await sceneOf();
  const merge = await system.merge({ ...disk(), shallow: true, bandwidthBytesPerSecond: SLOW });
  await untilCopying(scene);
  await untilStatus(merge, 'a job id', ({ jobId }) => jobId !== null);
  return merge;
}

/** A merge in READY, where a person is asked. */
async function ready(): Promise<Merge> {
  await sceneOf();
  const merge = await system.merge({ ...disk(), shallow: true, waitForDecision: true });
  await untilPhase(merge, 'waiting for a decision');
  return merge;
}

/** A merge whose agent stands before this effect. */
async function standingAt(role: 'host' | 'spm', effect: Fault['effect']): Promise<Merge> {
  await sceneOf();
  await system.killRole(role);
  await system.startRole(role, [{ effect, action: 'stop-before' }]);
  const merge = await system.merge({ ...disk(), shallow: true });
  await system.roleStopped(role);
  return merge;
}

async function expectCancelled(merge: Merge): Promise<void> {
  const error = await merge.result().then(
    () => null,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(WorkflowFailedError);
  expect((error as WorkflowFailedError).cause).toBeInstanceOf(CancelledFailure);
  expect((await merge.describe()).status.name).toBe('CANCELLED');
  expect((await auditEvents(scene)).map(({ kind }) => kind)).toEqual(['started', 'cancelled']);
  await expectUnchanged(scene);
}

describe('Cancel before the pivot ends the job and leaves nothing', () => {
  it('while it plans, although the host agent is unavailable', async () => {
    await sceneOf();
    await system.killRole('host');
    const merge = await system.merge(disk());
    await untilStatus(merge, 'an agent that is unavailable', ({ away }) => away !== null);
    await merge.cancel();
    await expectCancelled(merge);
  });

  it('while it copies', async () => {
    const merge = await copying();
    await merge.cancel();
    await expectCancelled(merge);
  });

  it('while it copies and the host agent is unavailable, as soon as that is back', async () => {
    const merge = await copying();
    await system.killRole('host');
    await merge.cancel();
    await untilPhase(merge, 'cancelling');
    await system.startRole('host');
    await expectCancelled(merge);
  });

  it('while it is READY and waits for a decision', async () => {
    const merge = await ready();
    await merge.cancel();
    await expectCancelled(merge);
  });
});

describe('Cancel after the pivot was requested is refused, and the merge is completed', () => {
  it.each([
    ['while it pivots', 'host', 'libvirt.pivot'],
    ['while it deletes', 'spm', 'storage.quarantine-volume'],
  ] as const)('%s', async (_, role, effect) => {
    const merge = await standingAt(role, effect);
    await merge.cancel();
    const refusal = /cancel refused: the switch has been requested/;
    const status = await untilStatus(merge, 'a refusal', ({ note }) => refusal.test(note ?? ''));
    expect(status.cancel.possible).toBe(false);
    system.signalRole(role, 'SIGCONT');
    const { warnings } = await expectMerged(scene, merge);
    expect(warnings).toEqual([expect.stringMatching(refusal)]);
    const kinds = (await auditEvents(scene)).map(({ kind }) => kind);
    expect(kinds).toEqual(['started', 'cancel-refused', 'merged']);
  });
});

describe('After a terminate the next request, with other words, adopts what it finds', () => {
  const jobIdOf = async (merge: Merge) => (await merge.query(statusQuery)).jobId;

  it('a job that copies', async () => {
    const merge = await copying();
    const jobId = await jobIdOf(merge);
    await merge.terminate('a test');
    await scene.guest.waitForAcks(50);
    await untilCopying(scene);
    const result = await expectMerged(scene, await system.merge(disk()));
    expect(result).toMatchObject({ jobId, chainBefore: scene.chain });
  });

  it('a job that is READY', async () => {
    const merge = await ready();
    const jobId = await jobIdOf(merge);
    await merge.terminate('a test');
    await scene.guest.waitForAcks(50);
    const result = await expectMerged(scene, await system.merge(disk()));
    expect(result).toMatchObject({ jobId, chainBefore: scene.chain });
  });

  /** It is terminated when the chain is pivoted; @returns its job */
  async function pivoted(): Promise<string | null> {
    await sceneOf();
    await system.killRole('spm');
    const merge = await system.merge({ ...disk(), shallow: true });
    await untilPhase(merge, 'deleting');
    const jobId = await jobIdOf(merge);
    await merge.terminate('a test');
    await system.startRole('spm');
    return jobId;
  }

  it('a chain that is pivoted, and a volume that is not deleted', async () => {
    const jobId = await pivoted();
    const result = await expectMerged(scene, await system.merge(disk()));
    expect(result).toMatchObject({ jobId, deleted: scene.chain.slice(1) });
  });

  it('a volume that is not deleted, when the foreign job of another has ended', async () => {
    const jobId = await pivoted();
    const { vm } = disk();
    const copy = join(system.host.root, `${vm}.copy`);
    await system.host.virsh('blockcopy', vm, 'vda', '--dest', copy, '--transient-job');
    await expectRefused(scene, disk(), ['Refused', 'foreign-job']);
    await system.host.virsh('blockjob', vm, 'vda', '--abort');
    const result = await expectMerged(scene, await system.merge(disk()));
    expect(result).toMatchObject({ jobId, deleted: scene.chain.slice(1) });
  });

  it('is held, with what is left, when the disk has been changed besides', async () => {
    const jobId = await pivoted();
    const { vm } = disk();
    const copy = join(system.host.pools, POOL, `${vm}-copy.qcow2`);
    await system.host.virsh('blockcopy', vm, 'vda', '--dest', copy, '--transient-job', '--wait');
    await system.host.virsh('blockjob', vm, 'vda', '--pivot');
    const left = scene.chain.at(-1) as string;
    const now = await expectRefused(scene, disk(), ['Hold', 'divergent-chain']);
    expect(now).toContain(`job ${jobId} of ${vm}/vda merged ${left} into ${scene.chain[0]}`);
    expect(now).toContain(`it had yet to delete ${left}`);
    expect(await scene.files()).toContain(basename(left));
    const record = [vm, 'urn:blockflow:job:vda', '--remove'];
    await system.host.virsh('metadata', ...record, '--config', '--live');
    expect(await (await system.merge(disk())).result()).toMatchObject({ outcome: 'already-done' });
  });
});
