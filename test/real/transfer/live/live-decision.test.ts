/** `--wait-for-decision` of a move: the mirror stays at READY until a person chooses. */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../../workflows/operation/failures.ts';
import { armFault } from '../../../support/faults/faults.ts';
import {
  expectKept,
  expectMoved,
  expectNotMoved,
  startLiveMove,
} from '../../../support/scenes/transfer/live-move-scene.ts';
import { SMALL } from '../../../support/scenes/merge-checks.ts';
import { startScene, type Scene } from '../../../support/scenes/merge-scene.ts';
import {
  diskOf,
  effectsOn,
  startMove,
  startMoveSystem,
} from '../../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';
import { useEach } from '../../../support/use.ts';
import { waitUntil } from '../../../support/wait-until.ts';
import { untilStatus } from '../../../support/scenes/until-status.ts';

const system = useSystem(() => startMoveSystem({ name: 'live-decision' }));
const forTest = useEach();

let scene: Scene;
let count = 0;
beforeEach(async () => {
  const options = { system, vm: `dec${++count}`, layers: 1, snapshotNames: ['s1'], guest: SMALL };
  scene = await forTest(startScene(options));
});
const virsh = (...args: string[]) => system.host.virsh(...args);
const vm = () => scene.guest.name;
const mirrors = async () => (await effectsOn(system, 'libvirt.start-mirror', vm())).length;
type Move = Awaited<ReturnType<typeof startLiveMove>>;

async function waiting(): Promise<Move> {
  const move = await startLiveMove(scene, { waitForDecision: true });
  await untilDeciding(move);
  return move;
}
const untilDeciding = (move: Move) =>
  untilStatus(move, 'READY', ({ phase }) => phase === 'waiting for a decision');
const decide = (move: Move, choice: 'pivot' | 'keep') =>
  move.executeUpdate('decide', { args: [choice] });

describe('A move that waits for a decision', () => {
  it('switches the VM when it is told to pivot', async () => {
    const move = await waiting();
    await scene.guest.waitForAcks(20);
    expect(await decide(move, 'pivot')).toBe('the VM will be switched to its copy');
    await expectMoved(scene, move);
  });

  it('keeps the source and a copy of that moment when it is told to keep', async () => {
    const move = await waiting();
    const acknowledged = await scene.guest.waitForAcks(20);
    await decide(move, 'keep');
    await expectKept(scene, move, acknowledged);
  });

  it('hears the operation that has started it', async () => {
    const move = await waiting();
    await move.signal('decision', 'neither');
    await move.signal('decision', 'pivot');
    await expectMoved(scene, move);
  });

  it('goes on when its mirror is pivoted by another process', async () => {
    const move = await waiting();
    await virsh('blockjob', vm(), 'vda', '--pivot');
    await expectMoved(scene, move);
  });

  it('mirrors again when the mirror is ended, and waits again', async () => {
    const move = await waiting();
    await virsh('blockjob', vm(), 'vda', '--abort');
    await waitUntil('another mirror', async () => (await mirrors()) === 2);
    await untilDeciding(move);
    const acknowledged = await scene.guest.waitForAcks(20);
    await decide(move, 'keep');
    await expectKept(scene, move, acknowledged);
  });

  it('leaves the source when it is cancelled', async () => {
    const move = await waiting();
    await move.cancel();
    await expect(move.result()).rejects.toThrow();
    await expectNotMoved(scene, move);
  });

  it('waits again when it was terminated and is repeated', async () => {
    await (await waiting()).terminate();
    const move = await waiting();
    await decide(move, 'pivot');
    await expectMoved(scene, move);
    expect(await mirrors()).toBe(1);
  });

  it('ends as vm-stopped when the VM stops', async () => {
    const move = await waiting();
    await virsh('destroy', vm());
    const error = await move.result().catch((e: unknown) => e);
    expect(failureDetails(error)?.details.code).toBe('vm-stopped');
    await expectNotMoved(scene, move, 'shut off');
  });

  it('keeps the copy whose end no agent has seen: its script has', async () => {
    const move = await waiting();
    armFault(system.trace, { effect: 'libvirt.abort-job', action: 'stop-after' });
    const acknowledged = await scene.guest.waitForAcks(20);
    await decide(move, 'keep');
    await system.roleStopped('host');
    await system.killRole('host');
    await system.startRole('host');
    await expectKept(scene, move, acknowledged);
    expect(await mirrors()).toBe(1);
  });

  it('is refused for a VM that is down', async () => {
    await scene.guest.kill();
    const move = await startMove(system, { image: diskOf(vm()), waitForDecision: true });
    const error = await move.result().catch((e: unknown) => e);
    expect(failureDetails(error)?.details).toMatchObject({ code: 'invalid-request' });
  });
});
