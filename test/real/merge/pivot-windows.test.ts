/**
 * libvirtd is killed at each point of a pivot at which its files and QEMU differ, with the guest
 * suspended by the pivot script; or of an abort. Then it comes back.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { isNewer } from '../../support/host/libvirt-version.ts';
import {
  goOnWith,
  startLost,
  strikeLibvirtd,
  type Moment,
} from '../../support/faults/struck-libvirtd.ts';
import { argumentsOf, isAlive, killAndWait } from '../../support/host/processes.ts';
import { SMALL } from '../../support/scenes/merge-checks.ts';
import { expectMerged } from '../../support/scenes/merge-proofs.ts';
import { startScene, startSharedSystem, type Scene } from '../../support/scenes/merge-scene.ts';
import { useHeldSystem } from '../../support/scenes/use-held-system.ts';
import { useEach } from '../../support/use.ts';
import { sample } from '../../support/sample.ts';
import { waitUntil } from '../../support/wait-until.ts';

const { system, held } = useHeldSystem(startSharedSystem);
const forTest = useEach();

let scene: Scene;
let count = 0;
beforeEach(async () => {
  scene = await forTest(startScene({ system, vm: `pivot${++count}`, guest: SMALL }));
});
const disk = () => ({ vm: scene.guest.name, disk: 'vda' });
const virsh = (...args: string[]) => system.host.virsh(...args);

/** Where libvirtd dies, and what it says when it is back. */
const windows = {
  'before it notes that the job ended': { file: 'status', time: 1 },
  'before it notes that the job is dismissed': { file: 'status', time: 2 },
  'before it notes the new chain': { file: 'status', time: 3 },
  'before it writes the record': { file: 'record', time: 1 },
} satisfies Record<string, Moment>;
type Window = keyof typeof windows;
const LIMBO = 'before it notes that the job is dismissed';
const LOST = 'before it notes the new chain';

/** Starts a merge whose pivot libvirtd does not survive; returns when libvirtd is dead. */
async function dieIn(window: Window) {
  held.holdBefore('--pivot');
  const merge = await system.merge(disk());
  await held.untilHeld();
  const struck = await strikeLibvirtd(system.host, scene.guest.name, windows[window]);
  held.release();
  await struck();
  return merge;
}

const failureOf = async (merge: { result(): Promise<unknown> }) =>
  failureDetails(await merge.result().catch((error: unknown) => error));

describe('A merge whose pivot libvirtd does not survive', () => {
  const healed = (Object.keys(windows) as Window[]).filter((window) => window !== LOST);
  it.each(sample('windows of pivots', healed, 2))(
    'is completed when libvirtd died %s',
    async (window) => {
      const merge = await dieIn(window);
      await system.host.startLibvirtd();
      await expectMerged(scene, merge);
    },
  );

  const withAgent = sample('windows of pivots, with the agent', healed, 2);
  it.each(withAgent)('is completed when the agent died, too, %s', async (window) => {
    const merge = await dieIn(window);
    await system.killRole('host');
    await system.host.startLibvirtd();
    await system.startRole('host');
    await expectMerged(scene, merge);
  });

  const withQemu = sample('windows of pivots, with QEMU', Object.keys(windows) as Window[], 2);
  it.each(withQemu)('loses no write when QEMU dies next, and libvirtd died %s', async (window) => {
    const merge = await dieIn(window);
    await system.host.killQemu(scene.guest.name);
    await system.host.startLibvirtd();
    await merge.result().catch(() => undefined);
    await expectMerged(scene, await system.merge(disk()), 'shut off');
  });

  const beforeQemu = sample('windows of pivots, QEMU later', healed, 2);
  it.each(beforeQemu)(
    'loses no write when QEMU dies later, and libvirtd died %s',
    async (window) => {
      const merge = await dieIn(window);
      await system.host.startLibvirtd();
      await scene.guest.waitForAcks(scene.guest.disk.parameters.slots + 1, 60_000);
      await system.host.killQemu(scene.guest.name);
      await merge.result().catch(() => undefined);
      expect(await scene.verifyAfterCrash()).toBeGreaterThan(scene.guest.disk.parameters.slots);
    },
  );
});

describe('A guest in limbo', () => {
  it('is saved and started, by an agent that dies at it', async () => {
    await system.killRole('host');
    await system.startRole('host', [{ effect: 'libvirt.reload-guest', action: 'kill-before' }]);
    const merge = await dieIn(LIMBO);
    await system.host.startLibvirtd();
    await system.roleEnded('host');
    await system.startRole('host', [{ effect: 'libvirt.reload-guest', action: 'kill-after' }]);
    await system.roleEnded('host');
    await system.startRole('host');
    await expectMerged(scene, merge);
    expect(await system.effects()).toContain(`libvirt.reload-guest ${scene.guest.name}/vda`);
  });

  it('stays paused when its user had paused it', async () => {
    const { name } = scene.guest;
    await virsh('suspend', name);
    const merge = await dieIn(LIMBO);
    await system.host.startLibvirtd();
    if (!(await isNewer(system.host))) return expectMerged(scene, merge, 'paused');
    // Started again, its disks are not active before it runs.
    const failure = await failureOf(merge);
    expect(failure).toMatchObject({ type: 'Hold', details: { code: 'inactive-disks' } });
    expect((await virsh('domstate', name)).trim()).toBe('paused');
    await virsh('resume', name);
    await virsh('suspend', name);
    await expectMerged(scene, await system.merge(disk()), 'paused');
  });

  it('is a Hold when it has run since, whose commands keep its writes', async () => {
    const { guest, chain } = scene;
    const merge = await dieIn(LIMBO);
    await system.killRole('host');
    await system.host.startLibvirtd();
    await virsh('resume', guest.name);
    await guest.waitForAcks(guest.disk.parameters.slots + 1);
    await system.startRole('host');
    const failure = await failureOf(merge);
    expect(failure).toMatchObject({ type: 'Hold', details: { code: 'limbo' } });
    expect(failure?.details.next).toContain(`virsh managedsave ${guest.name} --running`);
    expect(await failureOf(await system.merge(disk()))).toMatchObject({ type: 'Hold' });
    await goOnWith(system.host, scene.guest.name, chain[0] ?? '', chain[1] ?? '');
    await expectMerged(scene, await system.merge(disk()));
  });
});

describe('An abort at READY that libvirtd does not survive', () => {
  it('is a Hold when libvirtd takes it for a pivot, whose commands keep the writes', async () => {
    const { guest, chain } = scene;
    const [base = '', top = ''] = chain;
    await system.killRole('host');
    await system.startRole('host', [{ effect: 'libvirt.abort-job', action: 'stop-before' }]);
    const merge = await system.merge({ ...disk(), keepOverlay: true });
    await system.roleStopped('host');
    const struck = await strikeLibvirtd(system.host, guest.name, { file: 'status', time: 1 });
    system.signalRole('host', 'SIGCONT');
    await struck();
    await system.host.startLibvirtd();
    const failure = await failureOf(merge);
    expect(failure).toMatchObject({ type: 'Hold', details: { code: 'limbo' } });
    expect(failure?.details.now).toContain(`libvirt shows ${base}, but QEMU writes ${top}`);
    await guest.waitForAcks(guest.disk.parameters.slots + 1);
    await goOnWith(system.host, scene.guest.name, top, base);
    await expectMerged(scene, await system.merge(disk()));
  });
});

describe('A VM that libvirtd has lost', () => {
  /** As the merge reports it. @returns null where libvirt loses no VM, and the merge goes on */
  async function lose(): Promise<number | null> {
    const { guest, chain } = scene;
    const before = await scene.files();
    const pid = system.host.qemuPid(guest.name);
    const merge = await dieIn(LOST);
    await system.host.startLibvirtd();
    if (await isNewer(system.host)) {
      await expectMerged(scene, merge);
      return null;
    }
    const failure = await failureOf(merge);
    expect(failure).toMatchObject({ type: 'Hold', details: { code: 'lost-vm' } });
    for (const words of [`process ${pid}`, chain[0] ?? '', 'suspended since the pivot'])
      expect(failure?.details.now).toContain(words);
    expect(failure?.details.next).toContain(`kill ${pid}`);
    expect((await virsh('domstate', guest.name)).trim()).toBe('shut off');
    expect([isAlive(pid), await scene.files()]).toEqual([true, before]);
    return pid;
  }

  it('is a Hold, also for the next request, and merges once it was given up', async () => {
    const pid = await lose();
    if (pid === null) return;
    const again = await failureOf(await system.merge(disk()));
    expect(again).toMatchObject({ type: 'Hold', details: { code: 'lost-vm' } });
    expect(argumentsOf(pid)).toContain('-uuid');
    await killAndWait(pid, 'SIGTERM');
    await startLost(scene.guest);
    await expectMerged(scene, await system.merge(disk()));
  });

  it('goes on where it was when libvirt gets its status back', async () => {
    const pid = await lose();
    if (pid === null) return;
    const { guest } = scene;
    await system.host.killLibvirtd();
    const status = join(system.host.root, 'run/qemu', `${guest.name}.xml`);
    const text = await readFile(status, 'utf8');
    expect(text).toContain("job=''");
    await writeFile(status, text.replace("job=''", "job='active-commit' ready='pivot'"));
    await system.host.startLibvirtd();
    await waitUntil('libvirt to have the VM back', async () =>
      /paused/.test(await virsh('domstate', guest.name)),
    );
    expect(isAlive(pid)).toBe(true);
    await expectMerged(scene, await system.merge(disk()));
  });
});
