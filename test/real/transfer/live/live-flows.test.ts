/** What happens to a move of a running VM from outside, and what it ends with. */
import { existsSync } from 'node:fs';
import { copyFile, readFile, rm } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { WorkflowFailedError } from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { failureDetails } from '../../../../workflows/operation/failures.ts';
import { statusQuery } from '../../../../workflows/kinds.ts';
import { armFault } from '../../../support/faults/faults.ts';
import { redefine } from '../../../support/guest/shut-off-vm.ts';
import { mountOwn } from '../../../support/host/own-mount.ts';
import { startSnapshot } from '../../../support/scenes/snapshot-scene.ts';
import { startDeltaScene } from '../../../support/scenes/transfer/delta-scene.ts';
import { fill, unfill } from '../../../support/scenes/full-pool.ts';
import {
  expectMoved,
  expectNotMoved,
  startLiveMove,
  startSlowMirror,
  targetsOf,
} from '../../../support/scenes/transfer/live-move-scene.ts';
import type { Scene } from '../../../support/scenes/merge-scene.ts';
import { effectsOn, startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { unlimit } from '../../../support/scenes/transfer/slow-move.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';
import { use, useEach } from '../../../support/use.ts';
import { waitUntil } from '../../../support/wait-until.ts';
import { untilStatus } from '../../../support/scenes/until-status.ts';

const MIB = 2 ** 20;
const mount = use('the mount', () => mountOwn('ext4', 200));
const system = useSystem(() => startMoveSystem({ name: 'live-flows' }));
beforeAll(() => system.host.definePool('tight', mount.path));
const forTest = useEach();

let scene: Scene;
let count = 0;
beforeEach(async () => {
  scene = await forTest(startDeltaScene(system, { vm: `flow${++count}`, bytes: 40 * MIB }));
});
const virsh = (...args: string[]) => system.host.virsh(...args);
const vm = () => scene.guest.name;
const mirrors = async () => (await effectsOn(system, 'libvirt.start-mirror', vm())).length;

const failureOf = async (move: { result(): Promise<unknown> }) =>
  failureDetails(await move.result().catch((error: unknown) => error));

type Move = Awaited<ReturnType<typeof startLiveMove>>;

/** The limit is that of QEMU's job, and then none. */
async function goOn(move: Move): Promise<void> {
  expect(await virsh('blockjob', vm(), 'vda', '--raw', '--bytes')).toContain('bandwidth=65536');
  await unlimit(move);
}

describe('A move whose VM is mirrored', () => {
  it('leaves the source when it is cancelled', async () => {
    const move = await startSlowMirror(scene);
    expect(await move.query(statusQuery)).toMatchObject({ cancel: { possible: true } });
    await move.cancel();
    const error = await move.result().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(WorkflowFailedError);
    expect((error as WorkflowFailedError).cause).toBeInstanceOf(CancelledFailure);
    await expectNotMoved(scene, move);
  });

  it('is completed when it is cancelled in the switch', async () => {
    armFault(system.trace, { effect: 'libvirt.pivot', action: 'stop-before' });
    const move = await startLiveMove(scene);
    await system.roleStopped('host');
    await move.cancel();
    await waitUntil('the refusal', async () => {
      const { cancel } = await move.query(statusQuery);
      return !cancel.possible;
    });
    system.signalRole('host', 'SIGCONT');
    await expectMoved(scene, move);
  });

  it('mirrors no other disk that the VM was started with meanwhile', async () => {
    const top = scene.chain.at(-1) ?? '';
    const [kept, other] = [`${top}-kept`, `${top}-other`];
    armFault(system.trace, { effect: 'image.create-top', action: 'stop-after' });
    const move = await startLiveMove(scene);
    await system.roleStopped('host');
    await virsh('destroy', vm());
    for (const path of [kept, other]) await copyFile(top, path);
    await redefine(system.host, vm(), (xml) => xml.replace(`'${top}'`, `'${other}'`));
    await virsh('start', vm());
    await redefine(system.host, vm(), (xml) => xml.replace(`'${other}'`, `'${top}'`));
    system.signalRole('host', 'SIGCONT');
    expect((await failureOf(move))?.details.code).toBe('divergent-chain');
    expect(await mirrors()).toBe(0);
    for (const copy of targetsOf(scene)) expect(existsSync(copy)).toBe(false);
    await virsh('destroy', vm());
    await rm(other);
    expect((await readFile(top)).equals(await readFile(kept))).toBe(true);
    await rm(kept);
  });

  it('ends as vm-stopped when the VM stops, its source untouched', async () => {
    const move = await startSlowMirror(scene);
    await virsh('destroy', vm());
    expect(await failureOf(move)).toMatchObject({ type: 'Retry', details: { code: 'vm-stopped' } });
    await expectNotMoved(scene, move, 'shut off');
  });

  it('goes on when the guest is reset', async () => {
    const move = await startSlowMirror(scene);
    await virsh('reset', vm());
    await goOn(move);
    await expectMoved(scene, move);
  });

  it('is refused a snapshot meanwhile', async () => {
    const move = await startSlowMirror(scene);
    const snapshot = await startSnapshot(system, { vm: vm(), name: 's1' });
    const failure = await failureOf(snapshot);
    expect(failure).toMatchObject({ type: 'Refused', details: { code: 'other-operation' } });
    expect(failure?.details.now).toContain(`\`blockflow move ${vm()}/vda`);
    await goOn(move);
    await expectMoved(scene, move);
  });

  it('is refused a merge meanwhile', async () => {
    const move = await startSlowMirror(scene);
    await expect(system.merge({ vm: vm(), disk: 'vda' })).rejects.toThrow(/already/);
    await goOn(move);
    await expectMoved(scene, move);
  });

  it.each(['host', 'orchestrator', 'spm'] as const)('goes on when its %s died', async (role) => {
    const move = await startSlowMirror(scene);
    await system.killRole(role);
    await system.startRole(role);
    await goOn(move);
    await expectMoved(scene, move);
    expect(await mirrors()).toBe(1);
  });

  it('goes on when libvirtd died', async () => {
    const move = await startSlowMirror(scene);
    await system.host.killLibvirtd();
    await system.host.startLibvirtd();
    await goOn(move);
    await expectMoved(scene, move);
    expect(await mirrors()).toBe(1);
  });
});

describe('A mirror that is lost', () => {
  it('is begun again with another file, in which a full pool is a wait', async () => {
    const move = await startSlowMirror(scene, { to: 'tight' });
    await fill(mount.path, 0);
    await unlimit(move);
    await untilStatus(move, 'the wait', ({ phase }) => phase === 'waiting for space');
    expect((await virsh('domstate', vm())).trim()).toBe('running');
    await unfill(mount.path);
    await expectMoved(scene, move, 'running', mount.path);
    expect(await mirrors()).toBe(2);
  });

  it('is begun again when a user ends it', async () => {
    const move = await startSlowMirror(scene);
    await virsh('blockjob', vm(), 'vda', '--abort');
    await waitUntil('the next one', async () => (await mirrors()) === 2);
    await unlimit(move);
    await expectMoved(scene, move);
  });

  it('is given up when it is lost again and again', async () => {
    const move = await startSlowMirror(scene);
    for (let lost = 1; lost <= 4; lost++) {
      await waitUntil(`mirror ${lost}`, async () => {
        const runs = await virsh('blockjob', vm(), 'vda', '--raw');
        return (await mirrors()) === lost && runs.includes('type=');
      });
      await virsh('blockjob', vm(), 'vda', '--abort');
    }
    expect(await failureOf(move)).toMatchObject({ type: 'Retry', details: { code: 'job-lost' } });
    await expectNotMoved(scene, move);
  });

  it('is begun again when its file was deleted', async () => {
    const move = await startSlowMirror(scene);
    await rm(targetsOf(scene).at(-1) ?? '');
    await goOn(move);
    await expectMoved(scene, move);
    expect(await mirrors()).toBe(2);
  });
});

describe('A move that was terminated while it mirrored', () => {
  it('goes on with its mirror when it is repeated', async () => {
    await (await startSlowMirror(scene)).terminate();
    const move = await startLiveMove(scene);
    await expectMoved(scene, move);
    expect(await mirrors()).toBe(1);
  });

  it('begins a mirror of its own for a request that verifies more', async () => {
    await (await startSlowMirror(scene, { verify: 'none' })).terminate();
    await expectMoved(scene, await startLiveMove(scene));
    expect(await mirrors()).toBe(2);
  });

  it('begins another mirror when the VM was started again', async () => {
    await (await startSlowMirror(scene)).terminate();
    await scene.guest.kill();
    await scene.guest.start();
    await expectMoved(scene, await startLiveMove(scene));
    expect(await mirrors()).toBe(2);
  });

  it('is made cold when the VM is down then', async () => {
    await (await startSlowMirror(scene)).terminate();
    await scene.guest.kill();
    await expectMoved(scene, await startLiveMove(scene), 'shut off');
  });

  it('in its switch, is completed when it is repeated', async () => {
    armFault(system.trace, { effect: 'libvirt.pivot', action: 'stop-after' });
    const first = await startLiveMove(scene);
    await system.roleStopped('host');
    await first.terminate();
    system.signalRole('host', 'SIGCONT');
    await expectMoved(scene, await startLiveMove(scene));
    expect(await mirrors()).toBe(1);
  });
});
