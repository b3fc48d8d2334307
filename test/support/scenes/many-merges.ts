/** Many merges on one host at once: of guests, of one VM with many disks, of VMs shut off. */
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { execa } from 'execa';
import { defineManyDisks } from '../guest/disks/many-disks.ts';
import { createImage, defineShutOff, diskXml } from '../guest/shut-off-vm.ts';
import type { System } from '../host/system.ts';
import { SMALL } from './merge-checks.ts';
import { auditEvents, untilPhase } from './merge-proofs.ts';
import { POOL, startScene, type Scene } from './merge-scene.ts';
import { poolFiles } from './pool-files.ts';

export const PATIENCE_MS = 250_000;

/** One merge to come: its disk, and the names of its two images in the pool. */
interface Planned {
  vm: string;
  disk: string;
  base: string;
  top: string;
  /** What a sector of top holds, where nothing else writes it. */
  pattern?: number;
}

export interface Sizes {
  /** Running VMs that write. */
  guests: number;
  /** Disks of one running VM. */
  disks: number;
  /** VMs that are shut off. */
  shutOff: number;
}

export const FIFTY: Sizes = { guests: 4, disks: 26, shutOff: 20 };

export interface ManyMerges {
  count: number;
  /** Starts all of them. Those of the guests wait for a decision, so that they end last. */
  start(): Promise<void>;
  /** How many have deleted their layer. */
  ended(): Promise<number>;
  /** Lets the guests' merges pivot. */
  decide(): Promise<void>;
  /**
   * Waits for all, and expects that each did what it was for, with each of its effects and events
   * once, and that no write of a guest is lost.
   */
  expectMergedOnce(): Promise<void>;
}

/** Defines VMs and images. */
export async function prepareManyMerges(system: System, sizes: Sizes): Promise<ManyMerges> {
  const scenes = await runningGuests(system, sizes.guests);
  const guests: Planned[] = scenes.map(({ guest: { name: vm } }) => ({
    vm,
    disk: 'vda',
    base: `${vm}.qcow2`,
    top: `${vm}-snap1.qcow2`,
  }));
  const disks = await disksOfOneVm(system, sizes.disks);
  const planned = [...guests, ...disks, ...(await shutOffVms(system, sizes.shutOff))];
  let merges: Awaited<ReturnType<System['merge']>>[] = [];
  return {
    count: planned.length,
    async start() {
      const starting = planned.map(({ vm, disk }) =>
        system.merge({ vm, disk, waitForDecision: disk === 'vda' }),
      );
      merges = await Promise.all(starting);
    },
    ended: () => passings(system, 'storage.unlink-volume'),
    async decide() {
      for (const merge of merges.slice(0, sizes.guests)) {
        await untilPhase(merge, 'waiting for a decision', PATIENCE_MS);
        await merge.executeUpdate('decide', { args: ['pivot'] });
      }
    },
    async expectMergedOnce() {
      const results = await Promise.all(merges.map((merge) => merge.result()));
      for (const [i, each] of planned.entries()) await expectOnce(system, each, results[i]);
      const files = await poolFiles(join(system.host.pools, POOL));
      expect(files).toEqual([...planned.map(({ base }) => base), 'many.qcow2'].sort());
      for (const scene of scenes) await scene.verifyAfterCrash();
    },
  };
}

async function runningGuests(system: System, count: number): Promise<Scene[]> {
  const scenes: Scene[] = [];
  for (let i = 1; i <= count; i++) {
    // Slow writers: all of them share the machine with fifty merges.
    const guest = { ...SMALL, writesPerSecond: 30 };
    scenes.push(await startScene({ system, vm: `guest${i}`, guest }));
  }
  return scenes;
}

async function disksOfOneVm(system: System, count: number): Promise<Planned[]> {
  const disks = await defineManyDisks(system, count, (top, i) => write(top, i + 1));
  const images = (disk: string) => ({ base: `${disk}.qcow2`, top: `${disk}-snap.qcow2` });
  return disks.map((disk, i) => ({ vm: 'many', disk, pattern: i + 1, ...images(disk) }));
}

async function shutOffVms(system: System, count: number): Promise<Planned[]> {
  const planned: Planned[] = [];
  const inPool = inPoolOf(system);
  for (let i = 1; i <= count; i++) {
    const [vm, base, top] = [`off${i}`, `off${i}.qcow2`, `off${i}-snap.qcow2`];
    await createImage(inPool(top), { below: await createImage(inPool(base)) });
    await write(inPool(top), 100 + i);
    await defineShutOff(system.host, vm, diskXml(inPool(top)));
    planned.push({ vm, disk: 'vdb', base, top, pattern: 100 + i });
  }
  return planned;
}

const inPoolOf = (system: System) => (name: string) => join(system.host.pools, POOL, name);
const write = (image: string, pattern: number) =>
  execa('qemu-io', ['-f', 'qcow2', '-c', `write -P ${pattern} 1M 64k`, image]);
/** Throws when something else is there; a running VM may have the image open. */
const expectPattern = (image: string, pattern: number) =>
  execa('qemu-io', ['-r', '-U', '-f', 'qcow2', '-c', `read -P ${pattern} 1M 64k`, image]);

const passings = async (system: System, effect: string, target = '') =>
  (await system.effects()).filter((l) => l.startsWith(`${effect} `) && l.endsWith(target)).length;

/** The merge did what it was for, each of its effects and events once. */
async function expectOnce(system: System, planned: Planned, result: unknown): Promise<void> {
  const { vm, disk, base, top, pattern } = planned;
  const inPool = inPoolOf(system);
  const [kept, gone] = [inPool(base), inPool(top)];
  expect(result).toMatchObject({ outcome: 'merged', chainAfter: [kept], deleted: [gone] });
  const isLive = disk !== 'vdb';
  for (const effect of ['libvirt.start-commit', 'libvirt.pivot']) {
    const times = await passings(system, effect, ` ${vm}/${disk}`);
    expect([vm, effect, times]).toEqual([vm, effect, +isLive]);
  }
  expect(await passings(system, 'storage.unlink-volume', top)).toBe(1);
  const events = await auditEvents({ system, guest: { name: vm } });
  const kinds = events.filter((event) => event.disk === disk).map(({ kind }) => kind);
  expect(kinds).toEqual(['started', 'merged']);
  if (pattern) await expectPattern(kept, pattern);
}
