/** A guest with two disks for each case, of which a snapshot is taken; or with three, inside. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import type { EffectName } from '../../../../activities/door/effect.ts';
import { suspensionState } from '../../../../activities/adapters/virsh/safe-pivot.ts';
import { expectGuestData, expectOneCut } from '../../guest/guest-data.ts';
import { leakCluster, takeInner } from '../../guest/disks/inner-snapshots.ts';
import { startInside, type InsideScene } from '../../scenes/inside-scene.ts';
import { poolFiles } from '../../scenes/pool-files.ts';
import { startSharedSystem, POOL } from '../../scenes/merge-scene.ts';
import {
  defineSeveralDisks,
  imagesOf,
  sourcesOf,
  startSnapshot,
  takeSnapshot,
  type SeveralDisks,
} from '../../scenes/snapshot-scene.ts';
import { useSystem } from '../../scenes/use-system.ts';
import type { System } from '../../host/system.ts';
import { armFault } from '../faults.ts';
import type { Stage, StruckRun } from './stage.ts';
import { strikeLibvirtd } from '../struck-libvirtd.ts';

interface Scene extends SeveralDisks {
  system: System;
  /** Before the request. */
  acknowledged: number;
}

/** Brings a running guest to where the request is made. */
type Prepare = (scene: Scene) => Promise<unknown>;

const running: Prepare = () => Promise.resolve();
const down: Prepare = ({ system, guest }) => system.host.virsh('destroy', guest.name);

/** An earlier script died, and its agent with it, and left this report. */
const leftBehind =
  (report: string, meanwhile: Prepare = running): Prepare =>
  async (scene) => {
    const { system, guest } = scene;
    const vmUuid = (await system.host.virsh('domuuid', guest.name)).trim();
    await mkdir(system.runtimeDir, { recursive: true });
    await writeFile(`${suspensionState(system.runtimeDir, vmUuid)}.snapshot-report`, report);
    await meanwhile(scene);
  };
const suspended = leftBehind('guest=running\nswitch=unknown\nresumed=no\n', ({ system, guest }) =>
  system.host.virsh('suspend', guest.name),
);
const frozen = leftBehind('guest=running\nswitch=unknown\nresumed=yes\nfrozen=yes\n');

/** libvirtd dies after QEMU's transaction, before it has noted it. */
const unseen: Prepare = async ({ system, guest }) => {
  const struck = await strikeLibvirtd(system.host, guest.name, UNSEEN);
  // Comes back as an init system would bring it.
  void struck().then(() => system.host.startLibvirtd());
};
/** Which status file of a snapshot is the one after the transaction (docs/lab/libvirt.md). */
export const UNSEEN = { file: 'status', time: 2 } as const;

/** Effects on what is inside of images, and what is there before the request. */
const insideOf: Partial<Record<EffectName, (inside: InsideCase) => Promise<unknown>>> = {
  'image.take-snapshots': () => Promise.resolve(),
  'image.repair-leaks': ({ scene }) => leakCluster(scene.images.vdb),
  /** An earlier run was terminated when one image had it, and the others did not. */
  async 'image.delete-snapshot'({ system, scene }) {
    const { name: vm } = scene.guest;
    armFault(system.trace, { effect: 'image.take-snapshots', action: 'kill-before' });
    const first = await startSnapshot(system, { vm, name: 's1', internal: true });
    await system.roleEnded('host');
    await first.terminate();
    await takeInner(scene.images.vdb, 's1');
    await system.startRole('host');
  },
};

interface InsideCase {
  system: System;
  scene: InsideScene;
}

async function takeInside(
  { system, scene }: InsideCase,
  effect: EffectName,
  arm: () => void,
): Promise<StruckRun> {
  await insideOf[effect]?.({ system, scene });
  const request = { vm: scene.guest.name, name: 's1', internal: true };
  arm();
  const creation = await startSnapshot(system, request);
  return {
    operation: creation,
    vm: request.vm,
    async expectEnd() {
      expect(await creation.result()).toMatchObject({ outcome: 'created' });
    },
    async expectRight() {
      const result = await creation.result().catch(() => null);
      if (!result) await takeSnapshot(system, request);
      const ids = ['1 s1'];
      expect(await scene.inside()).toEqual({ vda: ids, vdb: ids, vdc: ids });
      expect((await system.host.virsh('snapshot-current', request.vm, '--name')).trim()).toBe('s1');
      await scene.expectSound();
      await system.host.virsh('undefine', request.vm, '--snapshots-metadata');
      await Promise.all(Object.values(scene.images).map((path) => rm(path)));
      return { guestWrites: 0, stallMs: null };
    },
  };
}

type OfLayers = Exclude<EffectName<'snapshot create'>, `image.${string}`>;
const scenarioOf: Record<OfLayers, Prepare> = {
  'audit.append-event': running,
  'storage.reserve-overlays': running,
  'storage.name-volume': running,
  'libvirt.take-snapshot': running,
  'libvirt.define-record': down,
  'libvirt.reload-guest': unseen,
  'libvirt.resume-guest': suspended,
  'guest.thaw': frozen,
  'libvirt.list-snapshot': running,
  'storage.remove-reservation': running,
};

/** Guests of a system; `writes` of theirs surround each case. */
export function useSnapshotStage(folder: string, writes = 0): Stage {
  const system = useSystem(() => startSharedSystem({ name: folder.replace(' ', '-') }));
  let count = 0;
  return {
    system,
    async start(effect, arm) {
      const vm = `snap${++count}`;
      if (effect in insideOf) {
        return takeInside({ system, scene: await startInside(system, vm, []) }, effect, arm);
      }
      const severalDisks = await defineSeveralDisks(system, vm, 2);
      const { guest } = severalDisks;
      await guest.start(60_000);
      const acknowledged = await guest.waitForAcks(Math.max(writes, 20));
      const scene: Scene = { ...severalDisks, system, acknowledged };
      await scenarioOf[effect as OfLayers](scene);
      arm();
      const creation = await startSnapshot(system, { vm, name: 's1' });
      return {
        operation: creation,
        vm,
        async expectEnd() {
          expect(await creation.result()).toMatchObject({ outcome: 'created' });
        },
        async expectRight() {
          const result = await creation.result().catch(() => null);
          // The same request again, as a user would: it completes, or has been done.
          if (!result) await takeSnapshot(system, { vm, name: 's1' });
          await expectTaken(scene);
          const stallMs = result?.stallMs ?? null;
          const guestWrites = await expectWhole(scene, writes);
          return { guestWrites, stallMs };
        },
      };
    },
  };
}

const overlay = (path: string) => path.replace(/[^.]*$/, 's1');
const overlaysOf = (disks: SeveralDisks['disks']) =>
  Object.fromEntries(Object.entries(disks).map(([target, path]) => [target, overlay(path)]));

/** All views name the overlays, libvirt lists it, and nothing else is left. */
async function expectTaken({ system, guest, disks }: Scene): Promise<void> {
  const { name } = guest;
  const wanted = overlaysOf(disks);
  expect(await sourcesOf(system, name, '--inactive')).toEqual(wanted);
  expect(await sourcesOf(system, name)).toEqual(wanted);
  expect((await system.host.virsh('snapshot-list', name, '--name')).trim()).toBe('s1');
  const files = (await poolFiles(join(system.host.pools, POOL))).filter(
    (file) => file.startsWith(`${name}.`) || file.startsWith(`${name}-`),
  );
  const expected = Object.values(disks).flatMap((path) => [path, overlay(path)]);
  expect(files.sort()).toEqual(expected.map((path) => path.replace(/^.*\//, '')).sort());
}

/**
 * A guest that ran runs, or QEMU was killed; every acknowledged write is on all disks, and what is
 * below the overlays is one cut.
 */
async function expectWhole(scene: Scene, writes: number): Promise<number> {
  const { system, guest, disks } = scene;
  const before = guest.acknowledged();
  const state = (await system.host.virsh('domstate', guest.name)).trim();
  expect(['running', 'shut off']).toContain(state);
  if (state === 'shut off') await guest.start(60_000);
  await guest.waitForAcks(Math.max(writes, 20));
  const guestWrites = guest.acknowledged() - before;
  await guest.kill();
  await expectGuestData(guest, ...imagesOf(overlaysOf(disks)));
  const cut = await expectOneCut(guest, ...imagesOf(disks));
  expect(cut).toBeGreaterThanOrEqual(scene.acknowledged);
  await system.host.virsh('undefine', guest.name, '--snapshots-metadata');
  const files = Object.values(disks).flatMap((path) => [path, overlay(path)]);
  await Promise.all(files.map((path) => rm(path)));
  return guestWrites;
}
