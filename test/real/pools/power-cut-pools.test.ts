/**
 * What the disk of a pool has when the power is cut at the points where blockflow takes something
 * removed: whatever takes its place must have been flushed by then, names included.
 */
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { startDeltaScene } from '../../support/scenes/transfer/delta-scene.ts';
import { createGuestDisk } from '../../support/guest/disks/guest-disk.ts';
import { expectGuestData } from '../../support/guest/guest-data.ts';
import { defineGuest } from '../../support/guest/guest.ts';
import { SMALL } from '../../support/scenes/merge-checks.ts';
import { POOL, startSharedSystem, type Scene } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  digests,
  removalOf,
  startMove,
} from '../../support/scenes/transfer/move-scene.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { cutPower, type Look, type PowerCut } from '../../support/faults/power-cut.ts';
import { backingName } from '../../support/guest/disks/relative-chain.ts';
import { defineChain } from '../../support/guest/shut-off-vm.ts';
import { takeExternalSnapshot } from '../../support/guest/disks/snapshots.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';

const MIB = 2 ** 20;
const disk = use('the disk', () => mountOwn('ext4', 128));
const system = useSystem(() => startSharedSystem({ name: 'powerpool' }));
beforeAll(() => system.host.definePool('far', disk.path));

const cut = <T>(when: Pick<PowerCut, 'at' | 'vm'>, start: () => Promise<T>, look: Look) =>
  cutPower({ system, disk, ...when }, start, look);

/** Base has every write that the guest was told of. */
async function expectWrites({ guest, chain }: Scene, folder: string): Promise<void> {
  const path = join(folder, basename(chain[0] as string));
  await expectGuestData(guest, { path, format: 'qcow2' });
}

const DELETED = { effect: 'storage.quarantine-volume', action: 'stop-before' } as const;
const SWITCHED = { effect: 'libvirt.switch-disk-source', action: 'stop-after' } as const;

describe('A power cut finds in base, before top is deleted,', () => {
  const startHere = (vm: string) =>
    startDeltaScene(system, { vm, bytes: MIB, baseFolder: disk.path });

  it('what a running guest has written', async () => {
    const scene = await startHere('on');
    const merge = () => system.merge({ vm: 'on', disk: 'vda' });
    const look = (folder: string) => expectWrites(scene, folder);
    await (await cut({ at: DELETED, vm: 'on' }, merge, look)).result();
    await scene.close();
  });

  it('what a guest wrote that is shut off', async () => {
    const scene = await startHere('off');
    await scene.guest.kill();
    const merge = () => system.merge({ vm: 'off', disk: 'vda' });
    await (await cut({ at: DELETED }, merge, (folder) => expectWrites(scene, folder))).result();
  });
});

describe('A power cut finds base below the overlay, before what was between is deleted,', () => {
  const expectBelow = (chain: string[]) => async (folder: string) => {
    const [base = '', , overlay = ''] = chain;
    expect(await backingName(join(folder, basename(overlay)))).toBe(base);
  };

  it('after an inner merge', async () => {
    const base = join(disk.path, 'inner.qcow2');
    const guest = await defineGuest(system.host, {
      name: 'inner',
      disk: await createGuestDisk(base, { format: 'qcow2', ...SMALL }),
    });
    await guest.start();
    const overlays = [1, 2].map((layer) => join(disk.path, `inner-snap${layer}.qcow2`));
    for (const file of overlays) await takeExternalSnapshot(system.host, 'inner', { file });
    const chain = [base, ...overlays];
    const merge = () => system.merge({ vm: 'inner', disk: 'vda', top: overlays[0] });
    await (await cut({ at: DELETED, vm: 'inner' }, merge, expectBelow(chain))).result();
    await guest.kill();
  });

  it('after a cold merge', async () => {
    const { chain } = await defineChain(system.host, 'cold', disk.path, 3);
    const merge = () => system.merge({ vm: 'cold', disk: 'vdb', top: chain[1] });
    await (await cut({ at: DELETED }, merge, expectBelow(chain))).result();
  });
});

describe('A power cut finds the copies whole, by their names,', () => {
  it.each([
    ['when the record names them', SWITCHED],
    ['before the source is deleted', DELETED],
  ])('%s', async (_, at) => {
    const vm = `moved-${at.action}`;
    const folder = join(system.host.pools, POOL);
    const { chain, image } = await defineChain(system.host, vm, folder, 2);
    const names = chain.map((path) => basename(path));
    const copies = (at: string) => digests(names.map((name) => join(at, name)));
    const look = async (path: string) =>
      expect(await copies(path)).toEqual(await copies(disk.path));
    const before = await contents(chain);
    const move = await cut({ at }, () => startMove(system, { image, to: 'far' }), look);
    const result = await move.result();
    expect(await contents(result.chainAfter)).toEqual(before);
    await removalOf(system, result);
  });
});
