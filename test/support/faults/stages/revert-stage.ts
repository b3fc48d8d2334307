/** A VM with two disks for each case, which is down and goes back to a snapshot. */
import { join } from 'node:path';
import { rm } from 'node:fs/promises';
import { expect } from '@jest/globals';
import type { EffectName } from '../../../../activities/door/effect.ts';
import type { RevertSnapshotRequest } from '../../../../workflows/snapshot/revert/request.ts';
import { expectGuestData } from '../../guest/guest-data.ts';
import { POOL, startSharedSystem } from '../../scenes/merge-scene.ts';
import {
  imagesOf,
  sourcesOf,
  takeSnapshot,
  type SeveralDisks,
} from '../../scenes/snapshot-scene.ts';
import { defineWithSnapshot, ownFiles, revertTo, startRevert } from '../../scenes/revert-scene.ts';
import { useSystem } from '../../scenes/use-system.ts';
import type { System } from '../../host/system.ts';
import { waitUntil } from '../../wait-until.ts';
import type { Stage, StruckRun } from './stage.ts';

interface Scene extends SeveralDisks {
  system: System;
  vm: string;
  arm: () => void;
  /** The snapshots of the VM; it runs on the last one. */
  snapshots: readonly string[];
}

type Act = (scene: Scene) => Promise<StruckRun>;

const shortName = (path: string) => path.replace(/^.*\//, '');
const stems = ({ vm }: Pick<Scene, 'vm'>) => [vm, `${vm}-b`];

/** What the disks name, as `STEM.ENDING`. */
async function endings({ system, vm }: Scene): Promise<string[]> {
  const sources = Object.values(await sourcesOf(system, vm, '--inactive')).map(shortName);
  return sources.map((name) => name.slice(name.lastIndexOf('.') + 1));
}

/** New overlays on both disks; the layers that they had are in quarantine, with one note. */
async function expectReverted(scene: Scene, isKept = true): Promise<void> {
  const { system, vm } = scene;
  const found = await endings(scene);
  expect(found).toEqual([expect.stringMatching(/^\d{10}$/), expect.stringMatching(/^\d{10}$/)]);
  const files = await ownFiles(system, vm);
  const last = scene.snapshots.at(-1);
  const others = scene.snapshots.slice(0, -1);
  const hidden = files.filter((file) => file.startsWith('.blockflow/'));
  expect(hidden.map((file) => file.replace(/^.*?[0-9a-f]{12}-/, '')).sort()).toEqual(
    isKept
      ? stems(scene)
          .map((stem) => `${stem}.${last}`)
          .sort()
      : [],
  );
  expect(files.filter((file) => !file.startsWith('.blockflow/')).sort()).toEqual(
    stems(scene)
      .flatMap((stem, at) => ['qcow2', ...others, found[at]].map((end) => `${stem}.${end}`))
      .sort(),
  );
  const current = await system.host.virsh('snapshot-current', vm, '--name');
  expect(current.trim()).toBe('s1');
}

/** The guest boots what it had written before the snapshot; then all of it goes. */
async function expectBoots(scene: Scene): Promise<number> {
  const { system, guest, vm } = scene;
  const before = guest.acknowledged();
  // One that is just being started is paused.
  const isOff = (await system.host.virsh('domstate', vm)).trim() === 'shut off';
  if (isOff) await guest.start(60_000);
  await guest.waitForAcks(20);
  const guestWrites = guest.acknowledged() - before;
  await guest.kill();
  await expectGuestData(guest, ...imagesOf(await sourcesOf(system, vm, '--inactive')));
  await system.host.virsh('undefine', vm, '--snapshots-metadata');
  const pool = join(system.host.pools, POOL);
  for (const file of await ownFiles(system, vm)) await rm(join(pool, file));
  return guestWrites;
}

const reverting =
  (more: Partial<RevertSnapshotRequest> = {}): Act =>
  async (scene) => {
    const { system, vm, arm } = scene;
    const request = { vm, name: 's1', ...more };
    arm();
    const operation = await startRevert(system, request);
    return {
      ...{ operation, vm },
      async expectEnd() {
        expect(await operation.result()).toMatchObject({ outcome: 'reverted', warnings: [] });
      },
      async expectRight() {
        // The same request again, as a user would.
        await operation.result().catch(() => revertTo(system, request));
        await expectReverted(scene);
        return { guestWrites: await expectBoots(scene), stallMs: null };
      },
    };
  };

/** What a revert has discarded comes back. */
const undoing: Act = async (scene) => {
  const { system, vm, arm } = scene;
  await revertTo(system, { vm, name: 's1' });
  arm();
  const operation = await startRevert(system, { vm, undo: true });
  return {
    ...{ operation, vm },
    async expectEnd() {
      expect(await operation.result()).toMatchObject({ outcome: 'undone', warnings: [] });
    },
    async expectRight() {
      await operation.result().catch(() => revertTo(system, { vm, undo: true }));
      expect(await endings(scene)).toEqual(['s1', 's1']);
      const files = await ownFiles(system, vm);
      expect(files.filter((file) => file.endsWith('.s1'))).toEqual([`${vm}-b.s1`, `${vm}.s1`]);
      return { guestWrites: await expectBoots(scene), stallMs: null };
    },
  };
};

/** The time of what a revert has discarded is over. */
const expiring: Act = async (scene) => {
  const { system, vm, arm } = scene;
  arm();
  const { jobId } = await revertTo(system, { vm, name: 's1', keepSeconds: 1 });
  const operation = system.client.workflow.getHandle(`${vm}/revert/${jobId ?? ''}`);
  return {
    ...{ operation, vm },
    async expectEnd() {
      expect(await operation.result()).toContain('deleted ');
    },
    async expectRight() {
      await operation.result();
      await waitUntil(
        () => 'the note to go',
        async () => (await ownFiles(system, vm)).every((file) => !file.startsWith('.blockflow/')),
      );
      await expectReverted(scene, false);
      return { guestWrites: await expectBoots(scene), stallMs: null };
    },
  };
};

const scenarioOf: Record<EffectName<'snapshot revert'>, Act> = {
  'audit.append-event': reverting(),
  'storage.reserve-overlays': reverting(),
  'storage.name-volume': reverting(),
  'libvirt.define-record': reverting(),
  'libvirt.set-current-snapshot': reverting(),
  'storage.quarantine-volume': reverting(),
  'storage.note-revert': reverting(),
  'libvirt.start-vm': reverting({ start: true }),
  'storage.restore-volume': undoing,
  'storage.abandon-reservation': expiring,
  'storage.unlink-volume': expiring,
  'storage.remove-reservation': expiring,
};

/** VMs of a system, each with a snapshot s1. */
export function useRevertStage(folder: string, writes = 0): Stage {
  const system = useSystem(() => startSharedSystem({ name: folder.replace(' ', '-') }));
  let count = 0;
  return {
    system,
    async start(effect, arm) {
      const vm = `back${++count}`;
      const scene = await defineWithSnapshot(system, vm, Math.max(writes, 20));
      // Without a second one libvirt's tree grows from the first one already.
      const isSecond = effect === 'libvirt.set-current-snapshot';
      if (isSecond) await takeSnapshot(system, { vm, name: 's2' });
      const snapshots = isSecond ? ['s1', 's2'] : ['s1'];
      const act = scenarioOf[effect as EffectName<'snapshot revert'>];
      return act({ ...scene, system, vm, arm, snapshots });
    },
  };
}
