/** `--converge` of several disks: the guest is suspended once for what is left of all mirrors. */
import { describe, expect, it } from '@jest/globals';
import type { MoveDisksRequest } from '../../../../workflows/transfer/disks/request.ts';
import { expectGuestData, expectOneCut } from '../../../support/guest/guest-data.ts';
import { expectAllMoved } from '../../../support/scenes/transfer/disks-proofs.ts';
import {
  startDisks,
  startDisksMove,
  type DisksHandle,
  type DisksScene,
} from '../../../support/scenes/transfer/disks-scene.ts';
import { SLOW } from '../../../support/scenes/copying.ts';
import { startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { imagesOf, sourcesOf } from '../../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const MIB = 2 ** 20;
const system = useSystem(() => startMoveSystem({ name: 'disks-converge' }));
const virsh = (...args: string[]) => system.host.virsh(...args);

/** The guest makes up to 1 MiB of each disk dirty again and again, faster than 256 KiB/s. */
const LIMIT = MIB / 4;
const start = (vm: string) => startDisks(system, vm, { bytes: 6 * MIB });

/** Under a limit that a user has set, which the operation does not raise. */
async function outrun(
  { guest, ...scene }: DisksScene,
  more: Partial<MoveDisksRequest> = {},
): Promise<DisksHandle> {
  const options = { converge: true, maxPauseMs: 60_000, bandwidthBytesPerSecond: SLOW, ...more };
  const move = await startDisksMove({ guest, ...scene }, options);
  for (const disk of ['vda', 'vdb']) {
    await waitUntil(`the mirror of ${disk}`, async () =>
      (await virsh('blockjob', guest.name, disk, '--raw')).includes('type='),
    );
  }
  await move.executeUpdate('bandwidth', { args: [LIMIT] });
  return move;
}

describe('Disks that the guest outruns', () => {
  it('switch within one suspension, which waits for both mirrors', async () => {
    const scene = await start('both');
    const move = await outrun(scene);
    const result = await expectAllMoved(scene, move);
    expect(result.stallMs).toBeGreaterThan(0);
    const pivots = (await system.effects()).filter((line) =>
      line.startsWith('libvirt.pivot both/'),
    );
    expect(pivots).toEqual(['libvirt.pivot both/vda']);
  });

  it('are copied as they are at one moment', async () => {
    const scene = await start('copies');
    const { guest, disks, moved } = scene;
    const before = guest.acknowledged();
    const copy = await outrun(scene, { sources: 'keep' });
    expect(await copy.result()).toMatchObject({ outcome: 'copied' });
    expect(await sourcesOf(system, 'copies')).toEqual(disks);
    await guest.waitForAcks(10);
    await guest.kill();
    expect(await expectOneCut(guest, ...imagesOf(moved))).toBeGreaterThanOrEqual(before);
    await expectGuestData(guest, ...imagesOf(disks));
  });
});
