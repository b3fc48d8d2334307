/** libvirtd is killed at each point at which its files and QEMU differ; then it comes back. */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { armFault } from '../../support/faults/faults.ts';
import { strikeLibvirtd, type Moment } from '../../support/faults/struck-libvirtd.ts';
import { UNSEEN } from '../../support/faults/stages/snapshot-stage.ts';
import { expectGuestData, expectOneCut } from '../../support/guest/guest-data.ts';
import { startSharedSystem } from '../../support/scenes/merge-scene.ts';
import {
  defineSeveralDisks,
  imagesOf,
  sourcesOf,
  startSnapshot,
  takeSnapshot,
  type SeveralDisks,
} from '../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startSharedSystem({ name: 'windows' }));
let count = 0;
let scene: SeveralDisks;
let acknowledged = 0;
beforeEach(async () => {
  scene = await defineSeveralDisks(system, `window${++count}`, 2);
  await scene.guest.start(60_000);
  acknowledged = await scene.guest.waitForAcks(20);
});

/** Where libvirtd dies. */
const windows = {
  'before the transaction': { file: 'status', time: 1 },
  'after the transaction, before it notes it': UNSEEN,
  'before it writes the record': { file: 'record', time: 1 },
  'after it has written the record': { file: 'status', time: 3 },
} satisfies Record<string, Moment>;
type Window = keyof typeof windows;
const all = Object.keys(windows) as Window[];

/** Requests a snapshot that libvirtd does not survive. */
async function dieIn(window: Window) {
  const vm = scene.guest.name;
  // At the switch, and not before: libvirtd is slow under strace.
  armFault(system.trace, { effect: 'libvirt.take-snapshot', action: 'stop-before' });
  const creation = await startSnapshot(system, { vm, name: 's1' });
  await system.roleStopped('host');
  const struck = await strikeLibvirtd(system.host, vm, windows[window]);
  system.signalRole('host', 'SIGCONT');
  await struck();
  return creation;
}

/** QEMU crashed, the VM is shut off: all disks that its record boots have every write. */
async function expectNoLossInRecord() {
  const recorded = await sourcesOf(system, scene.guest.name, '--inactive');
  await expectGuestData(scene.guest, ...imagesOf(recorded));
}

/** What is below the overlays is one cut over the disks, of a moment after the request. */
async function expectCutOfBases() {
  const cut = await expectOneCut(scene.guest, ...imagesOf(scene.disks));
  expect(cut).toBeGreaterThanOrEqual(acknowledged);
}

async function expectTaken() {
  const { guest, disks } = scene;
  const wanted = Object.entries(disks).map(([t, path]) => [t, path.replace(/[^.]*$/, 's1')]);
  expect(await sourcesOf(system, guest.name)).toEqual(Object.fromEntries(wanted));
  expect(await sourcesOf(system, guest.name, '--inactive')).toEqual(Object.fromEntries(wanted));
  expect((await system.host.virsh('snapshot-list', guest.name, '--name')).trim()).toBe('s1');
}

describe('A snapshot that libvirtd does not survive', () => {
  it.each(all)('is taken when libvirtd comes back; it died %s', async (window) => {
    const creation = await dieIn(window);
    await system.host.startLibvirtd();
    expect(await creation.result()).toMatchObject({ outcome: 'created' });
    await expectTaken();
    await scene.guest.waitForAcks(20);
    await scene.guest.kill();
    await expectNoLossInRecord();
    await expectCutOfBases();
  });

  it.each(all)('is taken when the agent died, too; libvirtd died %s', async (window) => {
    const creation = await dieIn(window);
    await system.killRole('host');
    await system.host.startLibvirtd();
    await system.startRole('host');
    expect(await creation.result()).toMatchObject({ outcome: 'created' });
    await expectTaken();
    await scene.guest.waitForAcks(20);
    await scene.guest.kill();
    await expectNoLossInRecord();
    await expectCutOfBases();
  });

  it.each(all)('loses no write when QEMU dies next; libvirtd died %s', async (window) => {
    const creation = await dieIn(window);
    // A guest that was not suspended would write meanwhile.
    await scene.guest.waitForAcks(50, 1500).catch(() => undefined);
    await system.host.killQemu(scene.guest.name);
    await system.host.startLibvirtd();
    await creation.result().catch(() => undefined);
    await expectNoLossInRecord();
    const vm = scene.guest.name;
    expect((await takeSnapshot(system, { vm, name: 's1' })).snapshot).toBe('s1');
    await expectNoLossInRecord();
    await expectCutOfBases();
  });
});
