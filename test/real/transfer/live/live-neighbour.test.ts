/**
 * libvirtd forgets the copy of one disk in its pivot while another disk of the VM has a job: the
 * guest can only be given back once that has ended, as libvirt saves no guest with a job.
 */
import { describe, expect, it } from '@jest/globals';
import { expectGuestData } from '../../../support/guest/guest-data.ts';
import { strikeLibvirtd } from '../../../support/faults/struck-libvirtd.ts';
import { failureOf } from '../../../support/scenes/failure-of.ts';
import { LASTING, SLOW } from '../../../support/scenes/copying.ts';
import { startDisks, type DisksScene } from '../../../support/scenes/transfer/disks-scene.ts';
import { startMove, startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { imagesOf, sourcesOf } from '../../../support/scenes/snapshot-scene.ts';
import { useHeldSystem } from '../../../support/scenes/use-held-system.ts';
import { waitUntil } from '../../../support/wait-until.ts';
import { statusQuery } from '../../../../workflows/kinds.ts';

const { system, held } = useHeldSystem((how) => startMoveSystem({ ...how, name: 'neighbour' }));
const virsh = (...args: string[]) => system.host.virsh(...args);

let scene: DisksScene;
let count = 0;
const start = async (how: { snapshots?: string[] } = {}) =>
  (scene = await startDisks(system, `near${++count}`, { ...LASTING, ...how }));
const moveOf = (disk: string, bandwidthBytesPerSecond = 0) =>
  startMove(system, {
    image: { kind: 'disk', vm: scene.guest.name, disk },
    bandwidthBytesPerSecond,
  });
const untilJob = (disk: string) =>
  waitUntil(`the job of ${disk}`, async () =>
    (await virsh('blockjob', scene.guest.name, disk, '--raw')).includes('type='),
  );

/** Moves vda; returns when libvirtd has forgotten its copy, and is back. */
async function forgetVda() {
  held.holdBefore('vda --pivot');
  const move = await moveOf('vda');
  await held.untilHeld();
  const struck = await strikeLibvirtd(system.host, scene.guest.name, { file: 'status', time: 1 });
  held.release();
  await struck();
  await system.host.startLibvirtd();
  return move;
}

describe('A copy that libvirtd has forgotten while another disk has a job', () => {
  it('is made again, as is the mirror of another move', async () => {
    const { guest, moved } = await start();
    const other = await moveOf('vdb', SLOW);
    await untilJob('vdb');
    const move = await forgetVda();
    expect(await move.result()).toMatchObject({ outcome: 'moved' });
    await guest.waitForAcks(5);
    await other.executeUpdate('bandwidth', { args: [0] });
    expect(await other.result()).toMatchObject({ outcome: 'moved' });
    expect(await sourcesOf(system, guest.name)).toEqual(moved);
    await guest.waitForAcks(5);
    await guest.kill();
    await expectGuestData(guest, ...imagesOf(moved));
  });

  it('is made again, as is the commit of a merge', async () => {
    const { guest, disks, moved } = await start({ snapshots: ['s1'] });
    const merge = await system.merge({ vm: guest.name, disk: 'vdb', waitForDecision: true });
    const waits = async () => (await merge.query(statusQuery)).phase === 'waiting for a decision';
    await waitUntil('READY', waits);
    const move = await forgetVda();
    expect(await move.result()).toMatchObject({ outcome: 'moved' });
    await waitUntil('READY once more', waits);
    await merge.executeUpdate('decide', { args: ['pivot'] });
    expect(await merge.result()).toMatchObject({ outcome: 'merged' });
    const base = disks['vdb']?.replace(/\.s1$/, '.qcow2') ?? '';
    const now = { vda: moved['vda'] ?? '', vdb: base };
    expect(await sourcesOf(system, guest.name)).toEqual(now);
    await guest.waitForAcks(5);
    await guest.kill();
    await expectGuestData(guest, ...imagesOf(now));
  });

  it("is a Hold as long as a user's job runs, which stays", async () => {
    const { guest, moved } = await start();
    const theirs = `${moved['vdb']}.theirs`;
    const limit = ['--bytes', '--bandwidth', String(SLOW)];
    await virsh('blockcopy', guest.name, 'vdb', theirs, ...limit, '--transient-job');
    await untilJob('vdb');
    const move = await forgetVda();
    expect(await failureOf(move.result())).toMatchObject({ type: 'Hold', code: 'limbo' });
    await untilJob('vdb');
    await guest.kill();
  });
});
