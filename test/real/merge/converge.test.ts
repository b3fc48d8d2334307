/** `--converge`: a guest that outruns its merge or its mirror is suspended for what is left. */
import { describe, expect, it } from '@jest/globals';
import { armFault } from '../../support/faults/faults.ts';
import { startDeltaScene } from '../../support/scenes/transfer/delta-scene.ts';
import { expectMoved } from '../../support/scenes/transfer/live-move-scene.ts';
import { expectMerged } from '../../support/scenes/merge-proofs.ts';
import { untilCopying } from '../../support/scenes/copying.ts';
import type { Scene } from '../../support/scenes/merge-scene.ts';
import { diskOf, startMove, startMoveSystem } from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { untilStatus } from '../../support/scenes/until-status.ts';

const MIB = 2 ** 20;
const SLOW = 65_536;
const system = useSystem(() => startMoveSystem({ name: 'converge' }));
const forTest = useEach();

/** The guest makes up to 4 MiB dirty again and again, faster than 512 KiB/s. */
const LIMIT = MIB / 2;
const CONVERGE = { converge: true, maxPauseMs: 60_000 };

let count = 0;
const start = () => forTest(startDeltaScene(system, { vm: `conv${++count}`, bytes: 8 * MIB }));
const mergeOf = ({ guest }: Scene, more: object) =>
  system.merge({ vm: guest.name, disk: 'vda', ...more });
const stateOf = async ({ guest }: Scene) =>
  (await system.host.virsh('domstate', guest.name)).trim();
const limitOf = async ({ guest }: Scene) => {
  const said = await system.host.virsh('blockjob', guest.name, 'vda', '--raw', '--bytes');
  return Number(/bandwidth=(\d+)/.exec(said)?.[1] ?? -1);
};

describe('A merge that is to converge', () => {
  it('raises its own limit first', async () => {
    const scene = await start();
    const merge = await mergeOf(scene, { bandwidthBytesPerSecond: LIMIT, converge: true });
    const { note, bandwidthBytesPerSecond } = await untilStatus(
      merge,
      'a higher limit',
      (status) => status.bandwidthBytesPerSecond > LIMIT,
      60_000,
    );
    expect(note === null || note.includes('the limit was raised to')).toBe(true);
    expect(bandwidthBytesPerSecond).toBeGreaterThanOrEqual(2 * LIMIT);
    await merge.executeUpdate('bandwidth', { args: [0] });
    await expectMerged(scene, merge);
  });

  it('suspends the guest for what is left, under a limit that a user has set', async () => {
    const scene = await start();
    const merge = await mergeOf(scene, { bandwidthBytesPerSecond: SLOW, ...CONVERGE });
    await untilCopying(scene);
    await merge.executeUpdate('bandwidth', { args: [LIMIT] });
    const result = await expectMerged(scene, merge);
    expect(result.stallMs).toBeGreaterThan(0);
    expect(result.stallMs).toBeLessThanOrEqual(CONVERGE.maxPauseMs);
  });
});

describe('A mirror that is to converge', () => {
  it('lets the guest run on when what is left takes too long, and tries again', async () => {
    const scene = await start();
    const { guest } = scene;
    armFault(system.trace, { effect: 'libvirt.pivot', action: 'stop-before' });
    const limit = { bandwidthBytesPerSecond: SLOW, converge: true, maxPauseMs: 10_000 };
    const move = await startMove(system, { image: diskOf(guest.name), ...limit });
    await untilStatus(move, 'the mirror', ({ phase }) => phase === 'mirroring');
    await waitUntil('the job', async () => (await limitOf(scene)) >= 0);
    await move.executeUpdate('bandwidth', { args: [2 * MIB] });
    await system.roleStopped('host');
    // What is left takes more than the pause now.
    await system.host.virsh('blockjob', guest.name, 'vda', '--bytes', '--bandwidth', `${SLOW}`);
    const before = guest.acknowledged();
    system.signalRole('host', 'SIGCONT');
    const { note } = await untilStatus(move, 'the note', (status) =>
      Boolean(status.note?.includes('not READY after')),
    );
    expect(note).toMatch(/the guest was suspended for \d+ ms/);
    expect(await stateOf(scene)).toBe('running');
    await guest.waitForAcks(before + 20 - guest.acknowledged(), 60_000);
    await move.executeUpdate('bandwidth', { args: [0] });
    await expectMoved(scene, move);
  });

  it('is suspended, whichever agent dies meanwhile, and runs on', async () => {
    const scene = await start();
    const { guest } = scene;
    const limit = { bandwidthBytesPerSecond: SLOW, ...CONVERGE };
    const move = await startMove(system, { image: diskOf(guest.name), ...limit });
    await untilStatus(move, 'the mirror', ({ phase }) => phase === 'mirroring');
    await waitUntil('the job', async () => (await limitOf(scene)) >= 0);
    await move.executeUpdate('bandwidth', { args: [LIMIT] });
    await waitUntil('the suspension', async () => (await stateOf(scene)) === 'paused', {
      timeoutMs: 90_000,
      intervalMs: 20,
    });
    await system.killRole('host');
    await system.startRole('host');
    await expectMoved(scene, move);
  });
});
