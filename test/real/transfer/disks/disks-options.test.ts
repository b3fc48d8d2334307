/** Several disks of a VM with the options that one disk has. */
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../../workflows/operation/failures.ts';
import type { MoveDisksRequest } from '../../../../workflows/transfer/disks/request.ts';
import { expectGuestData } from '../../../support/guest/guest-data.ts';
import { expectNoneMoved } from '../../../support/scenes/transfer/disks-proofs.ts';
import {
  startDisks,
  startDisksMove,
  untilDisks,
  type DisksScene,
} from '../../../support/scenes/transfer/disks-scene.ts';
import { LASTING, SLOW } from '../../../support/scenes/copying.ts';
import { startMove, startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { unlimit } from '../../../support/scenes/transfer/slow-move.ts';
import { sourcesOf } from '../../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const system = useSystem(() => startMoveSystem({ name: 'disks-options' }));
const MIB = 2 ** 20;
/** A limit holds QEMU back only after its first 16 MiB. */
const pivots = async (vm: string) =>
  (await system.effects()).filter((line) => line.startsWith(`libvirt.pivot ${vm}/`));

async function failureOf(scene: DisksScene, more: Partial<MoveDisksRequest>) {
  const move = await startDisksMove(scene, more);
  return failureDetails(await move.result().catch((error: unknown) => error));
}

/** In the vault, by the names that a raw copy has. */
const rawOf = ({ moved }: DisksScene): Record<string, string> =>
  Object.fromEntries(
    Object.entries(moved).map(([disk, path]) => [
      disk,
      join(dirname(path), `${basename(path, '.qcow2')}.raw`),
    ]),
  );

async function expectRaw(scene: DisksScene): Promise<void> {
  const { guest } = scene;
  const targets = rawOf(scene);
  expect(await sourcesOf(system, guest.name, '--inactive')).toEqual(targets);
  expect(await system.host.virsh('dumpxml', guest.name, '--inactive')).not.toContain("'qcow2'");
  const images = Object.values(targets).map((path) => ({ path, format: 'raw' }));
  await expectGuestData(guest, ...images);
}

describe('--format', () => {
  it('rewrites all disks of a VM that runs, which switch in one suspension', async () => {
    const scene = await startDisks(system, 'raws');
    const result = await (await startDisksMove(scene, { format: 'raw' })).result();
    expect(result).toMatchObject({ outcome: 'moved', chainAfter: Object.values(rawOf(scene)) });
    expect(await pivots('raws')).toEqual(['libvirt.pivot raws/vda']);
    await scene.guest.waitForAcks(20);
    await scene.guest.kill();
    await expectRaw(scene);
  });

  it('and --preallocation of a VM that is down', async () => {
    const scene = await startDisks(system, 'filled', { running: false });
    const options = {
      format: 'raw',
      preallocation: 'falloc',
      converge: true,
      maxPauseMs: 1,
    } as const;
    const result = await (await startDisksMove(scene, options)).result();
    expect(result).toMatchObject({ outcome: 'moved', chainAfter: Object.values(rawOf(scene)) });
    const told = (option: string) => `no running VM has it open, so ${option} has no effect`;
    expect(result.warnings).toEqual(['--converge', '--max-pause'].map(told));
    await expectRaw(scene);
  });
});

describe('--preallocation', () => {
  it('of a VM that runs is refused, and nothing is begun', async () => {
    const scene = await startDisks(system, 'prealloc');
    const failure = await failureOf(scene, { preallocation: 'falloc' });
    expect(failure).toMatchObject({ type: 'Refused', details: { code: 'vm-running' } });
    await expectNoneMoved(scene);
  });
});

describe('--synchronous-writes', () => {
  it('lets all mirrors become READY below the rate of the guest', async () => {
    const scene = await startDisks(system, 'sync', LASTING);
    const options = { synchronousWrites: true, bandwidthBytesPerSecond: 2 * MIB };
    expect(await (await startDisksMove(scene, options)).result()).toMatchObject({
      outcome: 'moved',
      chainAfter: Object.values(scene.moved),
    });
    await scene.guest.waitForAcks(20);
    await scene.guest.kill();
    const images = Object.values(scene.moved).map((path) => ({ path, format: 'qcow2' }));
    await expectGuestData(scene.guest, ...images);
  });
});

describe('The move of one disk that runs already', () => {
  async function startOne(scene: DisksScene) {
    const image = { kind: 'disk', vm: scene.guest.name, disk: 'vdb' } as const;
    const one = await startMove(system, { image, bandwidthBytesPerSecond: SLOW });
    await waitUntil('its mirror', async () =>
      (await system.host.virsh('blockjob', scene.guest.name, 'vdb', '--raw')).includes('type='),
    );
    return one;
  }

  it('refuses a copy of all, which needs that disk at the same moment', async () => {
    const scene = await startDisks(system, 'meets', LASTING);
    const one = await startOne(scene);
    const failure = await failureOf(scene, { sources: 'keep' });
    expect(failure).toMatchObject({ type: 'Refused', details: { code: 'other-operation' } });
    expect(failure?.details.now).toContain('move meets/vdb --to vault');
    await unlimit(one);
    expect(await one.result()).toMatchObject({ outcome: 'moved' });
    const { disks, moved } = scene;
    expect(await sourcesOf(system, 'meets')).toEqual({ ...disks, vdb: moved['vdb'] });
  });

  it('is gone on with by a move of all', async () => {
    const scene = await startDisks(system, 'joined', LASTING);
    const one = await startOne(scene);
    const all = await startDisksMove(scene);
    await untilDisks(all, 'vda', ({ disks }) => disks.some(({ state }) => state === 'ready'));
    await unlimit(one);
    expect(await all.result()).toMatchObject({ outcome: 'moved' });
    expect(await sourcesOf(system, 'joined')).toEqual(scene.moved);
  });
});
