/**
 * What dies while a guest is suspended until its mirror is READY (`--converge`): the guest never
 * stays suspended, and no write is lost.
 */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { failureOf } from '../../../support/scenes/failure-of.ts';
import { startDeltaScene } from '../../../support/scenes/transfer/delta-scene.ts';
import { expectMoved, expectNotMoved } from '../../../support/scenes/transfer/live-move-scene.ts';
import { expectMerged } from '../../../support/scenes/merge-proofs.ts';
import { untilCopying } from '../../../support/scenes/copying.ts';
import type { Scene } from '../../../support/scenes/merge-scene.ts';
import { diskOf, startMove, startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';
import { useEach } from '../../../support/use.ts';
import { waitUntil } from '../../../support/wait-until.ts';
import { untilStatus } from '../../../support/scenes/until-status.ts';

const MIB = 2 ** 20;
const SLOW = 65_536;
const system = useSystem(() => startMoveSystem({ name: 'conv-windows' }));
const forTest = useEach();

/** The guest makes up to 4 MiB dirty again and again: what is left takes seconds at this limit. */
const LIMIT = MIB / 2;
const OPTIONS = { bandwidthBytesPerSecond: SLOW, converge: true, maxPauseMs: 60_000 };

let scene: Scene;
let count = 0;
beforeEach(async () => {
  scene = await forTest(startDeltaScene(system, { vm: `wait${++count}`, bytes: 8 * MIB }));
});
const vm = () => scene.guest.name;
const virsh = (...args: string[]) => system.host.virsh(...args);
const stateIs = (state: string) =>
  waitUntil(
    `the guest to be ${state}`,
    async () => (await virsh('domstate', vm())).trim() === state,
    { timeoutMs: 90_000, intervalMs: 20 },
  );

/** Returns when the guest is suspended until the mirror is READY. */
async function suspended() {
  const move = await startMove(system, { image: diskOf(vm()), ...OPTIONS });
  await untilStatus(move, 'the mirror', ({ phase }) => phase === 'mirroring');
  await waitUntil('the job', async () =>
    (await virsh('blockjob', vm(), 'vda', '--raw')).includes('type='),
  );
  await move.executeUpdate('bandwidth', { args: [LIMIT] });
  await stateIs('paused');
  return move;
}

/** The guest runs on, and writes. */
async function runsOn(): Promise<void> {
  await stateIs('running');
  await scene.guest.waitForAcks(5, 60_000);
}

describe('In the wait of a suspended guest for its mirror', () => {
  it('a libvirtd that dies does not keep it suspended', async () => {
    const move = await suspended();
    await system.host.killLibvirtd();
    await system.host.startLibvirtd();
    await runsOn();
    await move.executeUpdate('bandwidth', { args: [0] });
    await expectMoved(scene, move);
  });

  it('a QEMU that dies leaves the source with every write', async () => {
    const move = await suspended();
    await system.host.killQemu(vm());
    expect(await failureOf(move.result())).toMatchObject({ type: 'Retry', code: 'vm-stopped' });
    await expectNotMoved(scene, move, 'shut off');
  });

  it('a libvirtd that dies in a merge does not keep it suspended', async () => {
    const merge = await system.merge({ vm: vm(), disk: 'vda', ...OPTIONS });
    await untilCopying(scene);
    await merge.executeUpdate('bandwidth', { args: [LIMIT] });
    await stateIs('paused');
    await system.host.killLibvirtd();
    await system.host.startLibvirtd();
    await runsOn();
    await merge.executeUpdate('bandwidth', { args: [0] });
    await expectMerged(scene, merge);
  });
});
