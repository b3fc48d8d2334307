/**
 * libvirtd is killed at each point of the pivot of a mirror at which its files and QEMU differ,
 * with the guest suspended by the pivot script. Then it comes back.
 */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../../workflows/operation/failures.ts';
import { isNewer } from '../../../support/host/libvirt-version.ts';
import {
  goOnWith,
  startLost,
  strikeLibvirtd,
  strikeLibvirtdAtOpen,
  type Moment,
} from '../../../support/faults/struck-libvirtd.ts';
import { isAlive, killAndWait } from '../../../support/host/processes.ts';
import {
  expectInVault,
  expectMoved,
  startLiveMove,
  targetsOf,
} from '../../../support/scenes/transfer/live-move-scene.ts';
import { SMALL } from '../../../support/scenes/merge-checks.ts';
import { startScene, type Scene } from '../../../support/scenes/merge-scene.ts';
import { startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { sample } from '../../../support/sample.ts';
import { waitUntil } from '../../../support/wait-until.ts';
import { useHeldSystem } from '../../../support/scenes/use-held-system.ts';
import { useEach } from '../../../support/use.ts';

const { system, held } = useHeldSystem((how) => startMoveSystem({ ...how, name: 'windows' }));
const forTest = useEach();

let scene: Scene;
let count = 0;
beforeEach(async () => {
  scene = await forTest(startScene({ system, vm: `window${++count}`, guest: SMALL }));
});
const virsh = (...args: string[]) => system.host.virsh(...args);

/** Where libvirtd dies, and what it says when it is back. */
const windows = {
  'while it attached the lower layers': 'lower',
  'before it noted that the job ended': { file: 'status', time: 1 },
  'before it noted that the job is dismissed': { file: 'status', time: 2 },
  'before it noted the new chain': { file: 'status', time: 3 },
  'before it wrote the record': { file: 'record', time: 1 },
} satisfies Record<string, Moment | 'lower'>;
type Window = keyof typeof windows;
const FORGOTTEN = 'before it noted that the job ended';
const LIMBO = 'before it noted that the job is dismissed';
const LOST = 'before it noted the new chain';
const all = Object.keys(windows) as Window[];
const healed = all.filter((window) => window !== LIMBO && window !== LOST);

/** What is done after the pivot. */
const AGAIN = ['libvirt.start-mirror', 'libvirt.pivot'];
const wayBack: Record<string, string[]> = {
  // libvirtd shows the source, with a mirror that QEMU never pivots.
  'while it attached the lower layers': ['libvirt.pivot', 'libvirt.abort-job', ...AGAIN],
  [FORGOTTEN]: ['libvirt.reload-guest', ...AGAIN],
  'before it wrote the record': ['libvirt.switch-disk-source', 'libvirt.resume-guest'],
};

/** Starts a move whose pivot libvirtd does not survive; returns when libvirtd is dead. */
async function dieIn(window: Window) {
  held.holdBefore('--pivot');
  const move = await startLiveMove(scene);
  await held.untilHeld();
  const moment: Moment | 'lower' = windows[window];
  const { name } = scene.guest;
  const struck =
    moment === 'lower'
      ? await strikeLibvirtdAtOpen(system.host, name, targetsOf(scene)[0] ?? '')
      : await strikeLibvirtd(system.host, name, moment);
  held.release();
  await struck();
  return move;
}

const failureOf = async (move: { result(): Promise<unknown> }) =>
  failureDetails(await move.result().catch((error: unknown) => error));

describe('A move whose pivot libvirtd does not survive', () => {
  it.each(sample('windows of moves', healed, 2))(
    'is completed when libvirtd died %s',
    async (window) => {
      const move = await dieIn(window);
      await system.host.startLibvirtd();
      await expectMoved(scene, move);
      const took = (await system.effects()).filter((line) =>
        line.endsWith(`${scene.guest.name}/vda`),
      );
      const names = took.map((line) => line.split(' ')[0]);
      expect(names).toEqual([...AGAIN, ...(wayBack[window] ?? [])]);
    },
  );

  const withAgent = sample('windows of moves, with the agent', healed, 2);
  it.each(withAgent)('is completed when the agent died, too, %s', async (window) => {
    const move = await dieIn(window);
    await system.killRole('host');
    await system.host.startLibvirtd();
    await system.startRole('host');
    await expectMoved(scene, move);
  });

  const withQemu = sample('windows of moves, with QEMU', all, 2);
  it.each(withQemu)('loses no write when QEMU dies next, and libvirtd died %s', async (window) => {
    const move = await dieIn(window);
    await system.host.killQemu(scene.guest.name);
    await system.host.startLibvirtd();
    await move.result().catch(() => undefined);
    await expectMoved(scene, await startLiveMove(scene), 'shut off');
  });
});

describe('A copy that libvirtd has forgotten', () => {
  it('is a Hold when its guest has run since, whose commands keep its writes', async () => {
    const { guest, chain } = scene;
    const move = await dieIn(FORGOTTEN);
    await system.killRole('host');
    await system.host.startLibvirtd();
    await virsh('resume', guest.name);
    await guest.waitForAcks(guest.disk.parameters.slots + 1);
    await system.startRole('host');
    const failure = await failureOf(move);
    expect(failure).toMatchObject({ type: 'Hold', details: { code: 'limbo' } });
    const [to = '', from = ''] = [targetsOf(scene).at(-1), chain.at(-1)];
    expect(failure?.details.now).toContain(`libvirt shows ${from}, but QEMU has ${to}`);
    expect(failure?.details.next).toContain(`virsh managedsave ${guest.name} --running`);
    expect(await failureOf(await startLiveMove(scene))).toMatchObject({ type: 'Hold' });
    await goOnWith(system.host, scene.guest.name, to, from);
    await expectMoved(scene, await startLiveMove(scene));
  });

  it('is found by a merge, too, after its move was terminated', async () => {
    const { guest } = scene;
    const move = await dieIn(FORGOTTEN);
    await system.killRole('host');
    await move.terminate();
    await system.host.startLibvirtd();
    await system.startRole('host');
    const merge = await system.merge({ vm: guest.name, disk: 'vda' });
    // What the move has held is still held; the guest runs all the same, and on the right file.
    expect(await failureOf(merge)).toMatchObject({ details: { code: 'command-failed' } });
    expect(await system.effects()).toContain(`libvirt.reload-guest ${guest.name}/vda`);
    await guest.waitForAcks(guest.disk.parameters.slots + 1, 60_000);
    expect(await (await startLiveMove(scene)).result()).toMatchObject({ outcome: 'moved' });
    await expectInVault(scene);
  });

  it('stays paused when its user had paused it', async () => {
    const { name } = scene.guest;
    await virsh('suspend', name);
    const move = await dieIn(FORGOTTEN);
    await system.host.startLibvirtd();
    if (!(await isNewer(system.host))) return void (await expectMoved(scene, move, 'paused'));
    // Started again, its disks are not active before it runs.
    const failure = await failureOf(move);
    expect(failure).toMatchObject({ type: 'Hold', details: { code: 'inactive-disks' } });
    await virsh('resume', name);
    await virsh('suspend', name);
    await expectMoved(scene, await startLiveMove(scene), 'paused');
  });
});

describe('A copy in limbo', () => {
  it('is a Hold, and moves once its memory was given up', async () => {
    const { guest } = scene;
    const move = await dieIn(LIMBO);
    await system.host.startLibvirtd();
    const failure = await failureOf(move);
    expect(failure).toMatchObject({ type: 'Hold', details: { code: 'limbo' } });
    expect(failure?.details.now).toContain('suspended since');
    expect(failure?.details.next).toContain(`virsh destroy ${guest.name}`);
    expect((await virsh('domstate', guest.name)).trim()).toBe('paused');
    const again = await failureOf(await startLiveMove(scene));
    expect(again).toMatchObject({ type: 'Hold', details: { code: 'limbo' } });
    expect(again?.details.next).toBe(failure?.details.next);
    await virsh('destroy', guest.name);
    await guest.start();
    await expectMoved(scene, await startLiveMove(scene));
  });
});

describe('A VM that libvirtd has lost', () => {
  it('is a Hold, also for the next request, and moves once it was given up', async () => {
    const { guest } = scene;
    const pid = system.host.qemuPid(guest.name);
    const move = await dieIn(LOST);
    await system.host.startLibvirtd();
    const failure = await failureOf(move);
    // A newer libvirt keeps the VM, with a mirror in limbo.
    const isKept = await isNewer(system.host);
    const code = isKept ? 'limbo' : 'lost-vm';
    expect(failure).toMatchObject({ type: 'Hold', details: { code } });
    for (const words of isKept ? [] : [`process ${pid}`, 'suspended since the pivot'])
      expect(failure?.details.now).toContain(words);
    const again = await failureOf(await startLiveMove(scene));
    expect(again).toMatchObject({ type: 'Hold', details: { code } });
    expect(isAlive(pid)).toBe(true);
    await killAndWait(pid, 'SIGTERM');
    const isOff = async () => (await virsh('domstate', guest.name)).includes('shut off');
    await waitUntil('libvirtd to see that QEMU has ended', isOff);
    await startLost(guest);
    await expectMoved(scene, await startLiveMove(scene));
  });
});
