/**
 * A guest with three disks for each case, of which a snapshot with memory is deleted, or one inside
 * of its images.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import type { EffectName } from '../../../../activities/door/effect.ts';
import { expectGuestData } from '../../guest/guest-data.ts';
import {
  DISKS,
  layerOf,
  listed,
  startThreeDisks,
  type ThreeDisks,
} from '../../guest/disks/three-disks.ts';
import { leakCluster } from '../../guest/disks/inner-snapshots.ts';
import type { System } from '../../host/system.ts';
import { startInside } from '../../scenes/inside-scene.ts';
import { expectLeftClean } from '../../scenes/merge-checks.ts';
import { activeLayer, startSharedSystem } from '../../scenes/merge-scene.ts';
import { startDeletion } from '../../scenes/snapshot-scene.ts';
import { useSystem } from '../../scenes/use-system.ts';
import type { Stage, StruckRun } from './stage.ts';

/** Guests of a system; `writes` of theirs surround each case. */
export function useDeletionStage(folder: string, writes = 0): Stage {
  const system = useSystem(() => startSharedSystem({ name: folder.replace(' ', '-') }));
  let count = 0;
  return {
    system,
    async start(effect, arm) {
      const vm = `del${++count}`;
      const isLive = isInside[effect];
      if (isLive !== undefined) return deleteInside({ system, vm, arm, isLive, writes });
      const scene = await startThreeDisks({ system, vm, snapshots: ['one'] });
      const { guest } = scene;
      await takeWithMemory(scene);
      await guest.waitForAcks(Math.max(writes, 17));
      const before = guest.acknowledged();
      arm();
      const request = { vm, name: 'm' };
      const deletion = await startDeletion(system, request);
      return {
        operation: deletion,
        vm,
        async expectEnd() {
          expect(await deletion.result()).toMatchObject({ outcome: 'deleted' });
        },
        async expectRight() {
          await deletion.result().catch(() => undefined);
          // The same request again, as a user would: it goes on, or has been done.
          await (await startDeletion(system, request)).result();
          expect(await listed(scene)).toEqual({ one: null });
          const guestWrites = await expectWhole(scene, before, writes);
          return { guestWrites, stallMs: null };
        },
      };
    },
  };
}

/** Effects on what is inside of images, and whether the VM runs then. */
const isInside: Partial<Record<EffectName, boolean>> = {
  'image.delete-snapshot': false,
  'image.repair-leaks': false,
  'libvirt.delete-snapshot': true,
};

interface InsideCase {
  system: System;
  vm: string;
  arm: () => void;
  isLive: boolean;
  writes: number;
}

async function deleteInside(options: InsideCase): Promise<StruckRun> {
  const { system, vm, arm, isLive, writes } = options;
  const scene = await startInside(system, vm, ['s1', 's2']);
  const { guest } = scene;
  if (isLive) await guest.start(60_000);
  else await leakCluster(scene.images.vdb);
  const before = isLive ? await guest.waitForAcks(Math.max(writes, 17)) : 0;
  arm();
  const request = { vm, name: 's1' };
  const deletion = await startDeletion(system, request);
  return {
    operation: deletion,
    vm,
    async expectEnd() {
      expect(await deletion.result()).toMatchObject({ outcome: 'deleted' });
    },
    async expectRight() {
      await deletion.result().catch(() => undefined);
      await (await startDeletion(system, request)).result();
      expect(await listed(scene)).toEqual({ s2: null });
      const left = ['2 s2'];
      expect(await scene.inside()).toEqual({ vda: left, vdb: left, vdc: left });
      let guestWrites = 0;
      if (isLive) {
        if ((await guest.host.virsh('domstate', vm)).trim() === 'shut off')
          await guest.start(60_000);
        guestWrites = (await guest.waitForAcks(Math.max(writes, 17))) - before;
        await guest.kill();
        await expectGuestData(guest, await activeLayer(guest));
      }
      // A live deletion that QEMU did not survive may leave leaks, which cost space alone.
      else await scene.expectSound();
      await system.host.virsh('undefine', vm, '--snapshots-metadata');
      await Promise.all(Object.values(scene.images).map((path) => rm(path)));
      return { guestWrites, stallMs: null };
    },
  };
}

async function takeWithMemory(scene: ThreeDisks): Promise<void> {
  const { host, name } = scene.guest;
  const specs = DISKS.flatMap((disk) => [
    '--diskspec',
    `${disk},file=${layerOf(scene, 'm', disk)}`,
  ]);
  const memory = ['--memspec', `file=${join(scene.pool, `${name}-memory`)}`, '--live'];
  await host.virsh('snapshot-create-as', name, 'm', '--atomic', ...memory, ...specs);
}

/** A guest that ran runs, or QEMU was killed; every layer's data is there, and nothing else. */
async function expectWhole(scene: ThreeDisks, before: number, writes: number): Promise<number> {
  const { system, guest } = scene;
  const state = (await system.host.virsh('domstate', guest.name)).trim();
  expect(['running', 'shut off']).toContain(state);
  if (state === 'shut off') await guest.start(60_000);
  await guest.waitForAcks(Math.max(writes, 17));
  const guestWrites = guest.acknowledged() - before;
  const bases = ['.qcow2', '-vdb.qcow2', '-vdc.qcow2'].map((end) => `${guest.name}${end}`);
  const files = [...bases, ...DISKS.map((disk) => `${guest.name}-one-${disk}`)];
  await expectLeftClean(scene, files);
  await scene.expectData();
  await guest.kill();
  await expectGuestData(guest, await activeLayer(guest));
  await system.host.virsh('undefine', guest.name, '--snapshots-metadata');
  await Promise.all(files.map((name) => rm(join(scene.pool, name))));
  return guestWrites;
}
