/**
 * libvirtd is killed at each point of the end of a mirror that is not wanted any more, at READY,
 * while the guest runs. Then it comes back. The guest stays on the source in every case.
 */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../../workflows/operation/failures.ts';
import { isNewer } from '../../../support/host/libvirt-version.ts';
import { armFault } from '../../../support/faults/faults.ts';
import { startLost, strikeLibvirtd } from '../../../support/faults/struck-libvirtd.ts';
import { killAndWait } from '../../../support/host/processes.ts';
import { expectMoved, startLiveMove } from '../../../support/scenes/transfer/live-move-scene.ts';
import { SMALL } from '../../../support/scenes/merge-checks.ts';
import { startScene, type Scene } from '../../../support/scenes/merge-scene.ts';
import { startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';
import { useEach } from '../../../support/use.ts';

const system = useSystem(() => startMoveSystem({ name: 'aborts' }));
const forTest = useEach();

let scene: Scene;
let count = 0;
beforeEach(async () => {
  scene = await forTest(startScene({ system, vm: `abort${++count}`, guest: SMALL }));
});

/** A request that verifies does not go on with the mirror of one that did not, and ends it. */
async function dieAtStatus(time: number) {
  armFault(system.trace, { effect: 'libvirt.pivot', action: 'stop-before' });
  const first = await startLiveMove(scene, { verify: 'none' });
  await system.roleStopped('host');
  await first.terminate();
  await system.killRole('host');
  await system.startRole('host', [{ effect: 'libvirt.abort-job', action: 'stop-before' }]);
  const move = await startLiveMove(scene);
  await system.roleStopped('host');
  const struck = await strikeLibvirtd(system.host, scene.guest.name, { file: 'status', time });
  system.signalRole('host', 'SIGCONT');
  await struck();
  await system.host.startLibvirtd();
  return move;
}

const failureOf = async (move: { result(): Promise<unknown> }) =>
  failureDetails(await move.result().catch((error: unknown) => error));

/** The guest goes on with the source, whatever libvirt says. */
const goesOn = () => scene.guest.waitForAcks(scene.guest.disk.parameters.slots + 1, 60_000);

describe('An end of a mirror that libvirtd does not survive', () => {
  it('is no obstacle before libvirtd noted that the job ended', async () => {
    await expectMoved(scene, await dieAtStatus(1));
  });

  it('is a Hold before it noted that the job is dismissed, whose way moves the disk', async () => {
    const { guest, chain } = scene;
    const failure = await failureOf(await dieAtStatus(2));
    expect(failure).toMatchObject({ type: 'Hold', details: { code: 'limbo' } });
    expect(failure?.details.now).toContain(`QEMU and libvirt have ${chain.at(-1)}`);
    expect(failure?.details.next).toContain(`virsh shutdown ${guest.name}`);
    await goesOn();
    await guest.kill();
    await guest.start();
    await expectMoved(scene, await startLiveMove(scene));
  });

  it('is a Hold before it noted the new chain, whose way moves the disk', async () => {
    const { guest, chain } = scene;
    const pid = system.host.qemuPid(guest.name);
    const failure = await failureOf(await dieAtStatus(3));
    // A newer libvirt keeps the VM, with a mirror in limbo.
    const isKept = await isNewer(system.host);
    expect(failure).toMatchObject({
      type: 'Hold',
      details: { code: isKept ? 'limbo' : 'lost-vm' },
    });
    expect(failure?.details.now).toContain(chain.at(-1));
    const way = isKept ? `virsh shutdown ${guest.name}` : `kill ${pid}`;
    expect(failure?.details.next).toContain(way);
    await goesOn();
    await killAndWait(pid, 'SIGTERM');
    await startLost(guest);
    await expectMoved(scene, await startLiveMove(scene));
  });
});
