/**
 * What only a person, or another mirror, can go on with in the suspension in which several disks
 * switch: libvirtd dies at points after which it knows less than QEMU.
 */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { isNewer } from '../../../support/host/libvirt-version.ts';
import { isAlive, killAndWait } from '../../../support/host/processes.ts';
import { type Moment, startLost, strikeLibvirtd } from '../../../support/faults/struck-libvirtd.ts';
import { failureOf } from '../../../support/scenes/failure-of.ts';
import { expectInVaultTogether } from '../../../support/scenes/transfer/disks-proofs.ts';
import {
  startDisks,
  startDisksMove,
  type DisksScene,
} from '../../../support/scenes/transfer/disks-scene.ts';
import { startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { useHeldSystem } from '../../../support/scenes/use-held-system.ts';

const { system, held } = useHeldSystem((how) => startMoveSystem({ ...how, name: 'disks-holds' }));

let scene: DisksScene;
let count = 0;
beforeEach(async () => {
  scene = await startDisks(system, `held${++count}`, { snapshots: ['s1'] });
});

/** Starts it; libvirtd is dead in this pivot, and back, when it returns. */
async function dieIn(command: string, strike: () => Promise<() => Promise<void>>) {
  held.holdBefore(command);
  const move = await startDisksMove(scene);
  await held.untilHeld();
  const struck = await strike();
  held.release();
  await struck();
  await system.host.startLibvirtd();
  return move;
}
const at = (moment: Moment) => () => strikeLibvirtd(system.host, scene.guest.name, moment);
/** What went on by itself of the request that has failed. */
async function endOfDisks(): Promise<void> {
  for (const disk of Object.keys(scene.disks)) {
    const move = system.client.workflow.getHandle(`${scene.guest.name}/${disk}`);
    await move.result().catch(() => undefined);
  }
}

describe('A Hold in the switch of several disks', () => {
  it('of a mirror in limbo tells what is true, and all disks move after it', async () => {
    const { guest } = scene;
    const move = await dieIn('vda --pivot', at({ file: 'status', time: 2 }));
    const failure = await failureOf(move.result());
    expect(failure).toMatchObject({ type: 'Hold', code: 'limbo' });
    expect(failure.next).toContain(`virsh destroy ${guest.name}`);
    expect((await system.host.virsh('domstate', guest.name)).trim()).toBe('paused');
    await endOfDisks();
    await system.host.virsh('destroy', guest.name);
    await guest.start();
    await (await startDisksMove(scene)).result();
    await expectInVaultTogether(scene);
  });

  it('of a VM that libvirtd has lost kills no QEMU, and all disks move after it', async () => {
    const { guest } = scene;
    const pid = system.host.qemuPid(guest.name);
    const move = await dieIn('vda --pivot', at({ file: 'status', time: 3 }));
    // A newer libvirt keeps the VM, with a mirror in limbo.
    const code = (await isNewer(system.host)) ? 'limbo' : 'lost-vm';
    expect(await failureOf(move.result())).toMatchObject({ type: 'Hold', code });
    await endOfDisks();
    expect(isAlive(pid)).toBe(true);
    await killAndWait(pid, 'SIGTERM');
    await startLost(guest);
    await (await startDisksMove(scene)).result();
    await expectInVaultTogether(scene);
  });
});
