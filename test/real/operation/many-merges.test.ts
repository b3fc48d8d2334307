/**
 * Many merges on one host at once, of running and of shut off VMs, and a deployment of every agent
 * in the middle of them. Twelve; fifty with BLOCKFLOW_ALL_CASES.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { runsAllCases } from '../../support/sample.ts';
import { defineManyDisks } from '../../support/guest/disks/many-disks.ts';
import { SMALL } from '../../support/scenes/merge-checks.ts';
import {
  POOL,
  startScene,
  startSharedSystem,
  type Scene,
} from '../../support/scenes/merge-scene.ts';
import { auditEvents, untilPhase } from '../../support/scenes/merge-proofs.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const GUESTS = runsAllCases ? 4 : 2;
const DISKS = runsAllCases ? 26 : 6;
const SHUT_OFF = runsAllCases ? 20 : 4;

const PATIENCE_MS = 250_000;
/** Seen: 200 MiB with twelve merges, 230 MiB with fifty. */
const MOST_MEBIBYTES = 400;

const system = useSystem(() => startSharedSystem({ name: 'fifty' }));

/** One merge to come: its disk, and the names of its two images in the pool. */
interface Planned {
  vm: string;
  disk: string;
  base: string;
  top: string;
  /** What a sector of top holds, where nothing else writes it. */
  pattern?: number;
}

const inPool = (name: string) => join(system.host.pools, POOL, name);
const write = (image: string, pattern: number) =>
  execa('qemu-io', ['-f', 'qcow2', '-c', `write -P ${pattern} 1M 64k`, image]);
/** Throws when something else is there; a running VM may have the image open. */
const expectPattern = (image: string, pattern: number) =>
  execa('qemu-io', ['-r', '-U', '-f', 'qcow2', '-c', `read -P ${pattern} 1M 64k`, image]);

async function runningGuests(): Promise<Scene[]> {
  const scenes: Scene[] = [];
  for (let i = 1; i <= GUESTS; i++) {
    // Slow writers: all of them share the machine with fifty merges.
    const guest = { ...SMALL, writesPerSecond: 30 };
    scenes.push(await startScene({ system, vm: `guest${i}`, guest }));
  }
  return scenes;
}

async function disksOfOneVm(): Promise<Planned[]> {
  const disks = await defineManyDisks(system, DISKS, (top, i) => write(top, i + 1));
  const images = (disk: string) => ({ base: `${disk}.qcow2`, top: `${disk}-snap.qcow2` });
  return disks.map((disk, i) => ({ vm: 'many', disk, pattern: i + 1, ...images(disk) }));
}

async function shutOffVms(): Promise<Planned[]> {
  const planned: Planned[] = [];
  for (let i = 1; i <= SHUT_OFF; i++) {
    const [vm, base, top] = [`off${i}`, `off${i}.qcow2`, `off${i}-snap.qcow2`];
    await createImage(inPool(top), { below: await createImage(inPool(base)) });
    await write(inPool(top), 100 + i);
    await defineShutOff(system.host, vm, diskXml(inPool(top)));
    planned.push({ vm, disk: 'vdb', base, top, pattern: 100 + i });
  }
  return planned;
}

const passings = async (effect: string, target = '') =>
  (await system.effects()).filter((l) => l.startsWith(`${effect} `) && l.endsWith(target)).length;

/** The merge did what it was for, each of its effects and events once. */
async function expectMergedOnce({ vm, disk, base, top, pattern }: Planned, result: unknown) {
  const [kept, gone] = [inPool(base), inPool(top)];
  expect(result).toMatchObject({ outcome: 'merged', chainAfter: [kept], deleted: [gone] });
  const isLive = disk !== 'vdb';
  for (const effect of ['libvirt.start-commit', 'libvirt.pivot']) {
    expect([vm, effect, await passings(effect, ` ${vm}/${disk}`)]).toEqual([vm, effect, +isLive]);
  }
  expect(await passings('storage.unlink-volume', top)).toBe(1);
  const events = await auditEvents({ system, guest: { name: vm } });
  const kinds = events.filter((event) => event.disk === disk).map(({ kind }) => kind);
  expect(kinds).toEqual(['started', 'merged']);
  if (pattern) await expectPattern(kept, pattern);
}

/** Those of the guests wait for a decision, so that the deployment does not come too late. */
const startMerge = ({ vm, disk }: Planned) =>
  system.merge({ vm, disk, waitForDecision: disk === 'vda' });

async function letPivot(merge: Awaited<ReturnType<typeof startMerge>>): Promise<void> {
  await untilPhase(merge, 'waiting for a decision', PATIENCE_MS);
  await merge.executeUpdate('decide', { args: ['pivot'] });
}

/** As an upgrade does it: each ends on SIGTERM, and a new process takes its place. */
async function deployAnew(): Promise<void> {
  const roles = ['host', 'orchestrator', 'spm'] as const;
  await Promise.all(
    roles.map(async (role) => {
      await system.killRole(role, 'SIGTERM');
      await system.startRole(role);
    }),
  );
}

/** The most memory that a process has had, in MiB. */
async function peakMebibytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

describe('Many merges on one host at once', () => {
  it('all end well, each exactly once, with every agent redeployed meanwhile', async () => {
    const scenes = await runningGuests();
    const guests = scenes.map(({ guest: { name: vm } }) => ({
      vm,
      disk: 'vda',
      base: `${vm}.qcow2`,
      top: `${vm}-snap1.qcow2`,
    }));
    const planned: Planned[] = [...guests, ...(await disksOfOneVm()), ...(await shutOffVms())];
    const merges = await Promise.all(planned.map(startMerge));
    const first = planned.length / 6;
    const done = async () => (await passings('storage.unlink-volume')) >= first;
    await waitUntil('the first to end', done, { timeoutMs: PATIENCE_MS });
    const agents = [await peakMebibytes(system.rolePid('host'))];
    await deployAnew();
    for (const merge of merges.slice(0, GUESTS)) await letPivot(merge);
    const results = await Promise.all(merges.map((merge) => merge.result()));
    agents.push(await peakMebibytes(system.rolePid('host')));
    expect(Math.max(...agents)).toBeLessThan(MOST_MEBIBYTES);
    for (const [i, each] of planned.entries()) await expectMergedOnce(each, results[i]);
    const files = await poolFiles(join(system.host.pools, POOL));
    const expected = [...planned.map(({ base }) => base), 'many.qcow2'].sort();
    expect(files).toEqual(expected);
    for (const scene of scenes) await scene.verifyAfterCrash();
  });
});
