/** A running guest whose disk moves, and what must be true of it afterwards. */
import { rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { expect } from '@jest/globals';
import { OWN_FOLDER } from '../../../../activities/pool-folder/own-folder.ts';
import type { TransferResult } from '../../../../workflows/transfer/kind.ts';
import type { MoveImageRequest } from '../../../../workflows/transfer/request.ts';
import { expectCleanSlate } from '../merge-proofs.ts';
import { SLOW } from '../copying.ts';
import type { Handle } from './image-operations.ts';
import { expectNoLoss, verifyGuestData } from '../../guest/oracle.ts';
import { POOL, type Scene } from '../merge-scene.ts';
import { copiers, diskOf, inVault, removalOf, startMove, undoOf } from './move-scene.ts';
import { poolFiles } from '../pool-files.ts';
import { waitUntil } from '../../wait-until.ts';
import { untilStatus } from '../until-status.ts';

type State = 'running' | 'paused' | 'shut off';
type Move = Handle<TransferResult>;

type Options = Partial<
  Pick<
    MoveImageRequest,
    'verify' | 'onVmStop' | 'waitForDecision' | 'synchronousWrites' | 'flatten' | 'to'
  >
>;

export const startLiveMove = ({ system, guest }: Scene, more: Options = {}) =>
  startMove(system, { image: diskOf(guest.name), ...more });

/** Where its volumes are after the move. */
export const targetsOf = ({ system, chain }: Scene, pool = inVault(system, '')): string[] =>
  chain.map((file) => join(pool, basename(file)));

/** A mirror that does not become READY within a test. */
export async function startSlowMirror(scene: Scene, more: Options = {}): Promise<Move> {
  const { system, guest } = scene;
  const move = await startMove(system, {
    image: diskOf(guest.name),
    bandwidthBytesPerSecond: SLOW,
    ...more,
  });
  await untilMirroring(scene, move);
  return move;
}

export async function untilMirroring({ system, guest }: Scene, move: Move): Promise<void> {
  await untilStatus(move, 'the mirror', ({ phase }) => phase === 'mirroring');
  await waitUntil('the mirror of QEMU', async () =>
    (await system.host.virsh('blockjob', guest.name, 'vda', '--raw')).includes('type='),
  );
}

/** The file of the VM alone is in one pool, and nothing of blockflow is there. */
async function expectFiles(scene: Scene, files: readonly string[]): Promise<void> {
  const { system, guest } = scene;
  const ours = (name: string) =>
    name.startsWith(`${guest.name}.`) ||
    name.startsWith(`${guest.name}-`) ||
    name.startsWith(OWN_FOLDER);
  const folders = [join(system.host.pools, POOL), inVault(system, '')];
  for (const folder of new Set([...folders, ...files.map((file) => join(dirname(file), '/'))])) {
    const there = (await poolFiles(folder)).filter(ours).sort();
    const wanted = files.filter((file) => join(dirname(file), '/') === join(folder, '/'));
    expect(there).toEqual(wanted.map((file) => basename(file)).sort());
  }
  expect(await copiers(system)).toEqual([]);
}

/** Ends well: the copies alone, the guest as it was, every acknowledged write. */
export async function expectMoved(
  scene: Scene,
  move: Move,
  state: State = 'running',
  pool?: string,
): Promise<TransferResult> {
  const { system, guest } = scene;
  const result = await move.result();
  const targets = targetsOf(scene, pool);
  expect(result).toMatchObject({ outcome: 'moved', chainAfter: targets, warnings: [] });
  expect(await removalOf(system, result)).toMatchObject({ outcome: 'removed' });
  await expectFiles(scene, targets);
  await expectCleanSlate(scene, state, targets.at(-1) ?? '');
  await takeAway(scene, targets);
  expect(guest.acknowledged()).toBeGreaterThan(0);
  return result;
}

/** The same for one that went on after a failure: the deletion of its source is waited for. */
export async function expectInVault(scene: Scene): Promise<void> {
  const { system, guest } = scene;
  const targets = targetsOf(scene);
  await waitUntil('the deletion of the source', async () => {
    const there = await poolFiles(join(system.host.pools, POOL));
    return !there.some(
      (name) => name.includes(`${guest.name}.`) || name.includes(`${guest.name}-`),
    );
  });
  await expectFiles(scene, targets);
  const state = (await system.host.virsh('domstate', guest.name)).trim();
  // I12: only blockflow has paused it.
  expect(['running', 'shut off']).toContain(state);
  await expectCleanSlate(scene, state, targets.at(-1) ?? '');
  await takeAway(scene, targets);
}

/** Ends without effect: the source is what it was, but for what the guest wrote. */
export async function expectNotMoved(
  scene: Scene,
  move: Move,
  state: State = 'running',
): Promise<void> {
  await undoOf(scene.system, move);
  await expectFiles(scene, scene.chain);
  await expectCleanSlate(scene, state, scene.chain.at(-1) ?? '');
  await takeAway(scene, scene.chain);
}

/** Ends at READY, the VM on its source; the copies of that moment are there as well. */
export async function expectKept(scene: Scene, move: Move, acknowledged: number): Promise<void> {
  const { guest, chain } = scene;
  const result = await move.result();
  const targets = targetsOf(scene);
  expect(result).toMatchObject({ outcome: 'kept', chainAfter: targets, removal: null });
  expect(result.summary).toContain(targets.at(-1));
  const report = await verifyGuestData({
    imagePath: targets.at(-1) ?? '',
    format: 'qcow2',
    acknowledged,
    issued: guest.acknowledged() + guest.disk.parameters.ackEvery,
    parameters: guest.disk.parameters,
  });
  expectNoLoss(report);
  await takeAway(scene, targets, false);
  await expectFiles(scene, chain);
  await expectCleanSlate(scene, 'running', chain.at(-1) ?? '');
  await takeAway(scene, chain);
}

/** For the next scene, which shares the pools. */
async function takeAway(
  { system, guest }: Scene,
  files: readonly string[],
  isWithVm = true,
): Promise<void> {
  if (isWithVm) await system.host.virsh('undefine', guest.name, '--snapshots-metadata');
  await Promise.all(files.map((file) => rm(file)));
}
