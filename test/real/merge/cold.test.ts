import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { coldCommitPercent } from '../../../activities/adapters/qemu-img/cold-commit.ts';
import { sample } from '../../support/sample.ts';
import { spoilMarks } from '../../support/guest/disks/layer-marks.ts';
import {
  bothXml,
  effectsSince,
  expectLeftClean,
  merged,
  SMALL,
} from '../../support/scenes/merge-checks.ts';
import { startScene, type Scene, type SceneOptions } from '../../support/scenes/merge-scene.ts';
import { argumentsOf } from '../../support/host/processes.ts';
import { growOverlay } from '../../support/guest/disks/snapshots.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';

const MiB = 2 ** 20;
/**
 * Slow enough for a test to meet the commit while it runs; QEMU lets 16 MiB pass before it begins
 * to count.
 */
const SLOW = { bandwidthBytesPerSecond: 4 * MiB };

let scene: Scene;
const system = useSystem();
const forTest = useEach();

/** A VM that is down, by SIGKILL, with layers; the top one, or another, has `grownBytes` more. */
async function startDown(options: SceneOptions, grownBytes = 0, grown = -1): Promise<Scene> {
  const guest = { ...SMALL, virtualSizeBytes: 8 * MiB + grownBytes };
  scene = await forTest(startScene({ system, guest, ...options }));
  await scene.guest.kill();
  const path = scene.chain.at(grown) as string;
  const layer = { ...scene.guest.disk, path, format: 'qcow2' as const };
  if (grownBytes > 0) await growOverlay(layer, { bytes: grownBytes });
  return scene;
}

/** Process id of the qemu-img of the running commit. */
const runningCommit = () =>
  waitUntil('qemu-img to run', async () => {
    const names = await readdir(system.runtimeDir).catch(() => []);
    const name = names.find((name) => name.endsWith('.pid')) ?? '';
    const pid = Number(await readFile(join(system.runtimeDir, name), 'utf8').catch(() => 0));
    return pid > 0 && argumentsOf(pid)[0]?.endsWith('qemu-img') && pid;
  });

/** The running commit stands still meanwhile, once it copies: its limit cannot be changed. */
async function whileItStands<T>(act: (commit: number) => Promise<T>): Promise<T> {
  const pid = await runningCommit();
  await waitUntil('it to have copied some', async () => {
    const [name = ''] = (await readdir(system.runtimeDir)).filter((one) => one.endsWith('.pid'));
    return (await coldCommitPercent(join(system.runtimeDir, basename(name, '.pid')))) > 0;
  });
  process.kill(pid, 'SIGSTOP');
  try {
    return await act(pid);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

const bootAndWrite = async ({ guest }: Scene) => {
  await guest.start();
  await guest.waitForAcks(20);
};

describe('a merge while the VM is down', () => {
  const cases = [
    { vm: 'active', layers: 1, request: {}, left: [0] },
    { vm: 'several', layers: 3, request: {}, left: [0] },
    { vm: 'inner', layers: 2, request: { top: 'inner-snap1.qcow2' }, left: [0, 2] },
    {
      vm: 'middle',
      layers: 4,
      request: { top: 'middle-snap3.qcow2', base: 'middle-snap1.qcow2' },
      left: [0, 1, 4],
    },
  ];
  const sampled = sample('merges offline', cases, 2);
  it.each(sampled)('merges $vm offline, and boots with every write', async (example) => {
    const { vm, layers, request, left } = example;
    const here = await startDown({ vm, layers });
    const kept = left.map((at) => here.chain[at] as string);
    const result = await merged(system, { vm, disk: 'vda', ...request });
    expect(result).toMatchObject({ outcome: 'merged', mode: 'cold', chainAfter: kept });
    expect(result.deleted).toEqual(here.chain.filter((path) => !kept.includes(path)));
    await bootAndWrite(here);
    await expectLeftClean(
      here,
      kept.map((path) => path.slice(here.pool.length + 1)),
    );
    await here.verifyAfterCrash();
  });

  it('keeps the VM from starting while the commit runs, not afterwards', async () => {
    const here = await startDown({ vm: 'locked' }, 48 * MiB);
    const merge = await system.merge({ vm: 'locked', disk: 'vda', ...SLOW });
    await whileItStands(() => expect(here.guest.start()).rejects.toThrow(/Failed to get .*lock/));
    expect(await merge.result()).toMatchObject({ outcome: 'merged', mode: 'cold' });
    await bootAndWrite(here);
    await expectLeftClean(here, ['locked.qcow2']);
    await here.verifyAfterCrash();
  });

  it('leaves the chain as it is when it is cancelled in the middle', async () => {
    const here = await startDown({ vm: 'cancelled' }, 64 * MiB);
    const before = await bothXml(system, 'cancelled');
    const merge = await system.merge({ vm: 'cancelled', disk: 'vda', ...SLOW });
    await runningCommit();
    await merge.cancel();
    await expect(merge.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    expect(await bothXml(system, 'cancelled')).toEqual(before);
    await expectLeftClean(here, ['cancelled.qcow2', 'cancelled-snap1.qcow2']);
    await bootAndWrite(here);
    await here.verifyAfterCrash();
  });
});

/** The agent dies in the middle of a commit, which then ends alone. */
async function endedAlone(vm: string) {
  const here = await startDown({ vm }, 24 * MiB);
  const merge = await system.merge({ vm, disk: 'vda', ...SLOW });
  await runningCommit();
  await system.killRole('host');
  await waitUntil('the commit to end', async () =>
    (await readdir(system.runtimeDir)).some((name) => name.endsWith('.exit')),
  );
  return { here, merge };
}

const commitsOf = async (vm: string) =>
  (await system.effects()).filter((line) => line === `qemu-img.commit ${vm}/vda`).length;

describe('a merge while the VM is down, whose commit ends while the agent is unavailable', () => {
  it('takes the commit for done', async () => {
    const { here, merge } = await endedAlone('ended');
    await system.startRole('host');
    expect(await merge.result()).toMatchObject({ outcome: 'merged', mode: 'cold' });
    expect(await commitsOf('ended')).toBe(1);
    await bootAndWrite(here);
    await expectLeftClean(here, ['ended.qcow2']);
    await here.verifyAfterCrash();
  });

  it('commits again what the VM wrote meanwhile', async () => {
    const { here, merge } = await endedAlone('newer');
    await bootAndWrite(here);
    await here.guest.kill();
    await system.startRole('host');
    expect(await merge.result()).toMatchObject({ outcome: 'merged', mode: 'cold' });
    expect(await commitsOf('newer')).toBe(2);
    await expectLeftClean(here, ['newer.qcow2']);
    await here.verifyAfterCrash();
  });

  it('commits again into a base that another process wrote to meanwhile', async () => {
    const { here, merge } = await endedAlone('spoilt');
    await spoilMarks(here.guest, here.chain[0] as string);
    await system.startRole('host');
    expect(await merge.result()).toMatchObject({ outcome: 'merged', mode: 'cold' });
    expect(await commitsOf('spoilt')).toBe(2);
    await expectLeftClean(here, ['spoilt.qcow2']);
    await here.verifyAfterCrash();
  });

  it('does not take the commit of other volumes for that of a later request', async () => {
    const here = await startDown({ vm: 'other', layers: 2 }, 40 * MiB, 1);
    const inner = here.chain[1] as string;
    const first = await system.merge({ vm: 'other', disk: 'vda', top: inner, ...SLOW });
    const second = await whileItStands(async (commit) => {
      await system.killRole('host');
      await first.terminate();
      await system.startRole('host');
      const merge = await system.merge({ vm: 'other', disk: 'vda' });
      const isMet = async () => (await commitsOf('other')) === 2;
      await waitUntil('the agent to meet that commit', isMet);
      expect(await runningCommit()).toBe(commit);
      return merge;
    });
    const result = await second.result();
    expect(result).toMatchObject({ outcome: 'merged', mode: 'cold', deleted: here.chain.slice(1) });
    await bootAndWrite(here);
    await expectLeftClean(here, ['other.qcow2']);
    await here.verifyAfterCrash();
  });
});

describe('a merge while the VM is down, and the agent dies', () => {
  it('goes on with the commit that runs', async () => {
    const here = await startDown({ vm: 'survivor' }, 48 * MiB);
    const merge = await system.merge({ vm: 'survivor', disk: 'vda', ...SLOW });
    await whileItStands(async (before) => {
      await system.killRole('host');
      await system.startRole('host');
      await waitUntil('the agent to come to the commit again', async () => {
        return (await commitsOf('survivor')) === 2;
      });
      expect(await runningCommit()).toBe(before);
    });
    expect(await merge.result()).toMatchObject({ outcome: 'merged', mode: 'cold' });
    await bootAndWrite(here);
    await expectLeftClean(here, ['survivor.qcow2']);
    await here.verifyAfterCrash();
  });

  it('ends the commit that runs when it was cancelled meanwhile', async () => {
    const here = await startDown({ vm: 'orphan' }, 64 * MiB);
    const merge = await system.merge({ vm: 'orphan', disk: 'vda', ...SLOW });
    await runningCommit();
    await system.killRole('host');
    await merge.cancel();
    await system.startRole('host');
    await expect(merge.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    await expectLeftClean(here, ['orphan.qcow2', 'orphan-snap1.qcow2']);
    await bootAndWrite(here);
    await here.verifyAfterCrash();
  });

  it('merges live what the VM wrote when it was started between commit and switch', async () => {
    const here = await startDown({ vm: 'between' });
    await system.killRole('host');
    const effect = 'libvirt.switch-disk-source';
    await system.startRole('host', [{ effect, action: 'hang-before' }]);
    const from = (await system.effects()).length;
    const merge = await system.merge({ vm: 'between', disk: 'vda' });
    await waitUntil('the switch to be begun', async () => {
      return (await effectsSince(system, from)).includes(`${effect} between/vda`);
    });
    await expect(here.guest.start()).rejects.toThrow(/Failed to get .*lock/);
    await system.killRole('host');
    await bootAndWrite(here);
    await system.startRole('host');
    expect(await merge.result()).toMatchObject({ outcome: 'merged', mode: 'active' });
    await expectLeftClean(here, ['between.qcow2']);
    await here.verifyAfterCrash();
  });
});
