/** Negative flows of MoveImage: two operations on one image at once, as the client library asks. */
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { BlockflowError } from '../../../client/index.ts';
import { awaitRemoval, connectTo } from '../../support/host/roles/blockflow-client.ts';
import { SMALL } from '../../support/scenes/merge-checks.ts';
import { expectMerged } from '../../support/scenes/merge-proofs.ts';
import { SLOW, untilCopying } from '../../support/scenes/copying.ts';
import { POOL, startScene } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  copiers,
  defineOff,
  diskOf,
  expectBoots,
  effectsOn,
  inVault,
  partBytes,
  recordOf,
  startMoveSystem,
  startOffScene,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use, useEach } from '../../support/use.ts';

const OTHER = 'other';
const MIB = 2 ** 20;
const system = useSystem(() => startMoveSystem({ name: 'at-once' }));
const blockflow = use('the client', () => connectTo(system));
const forTest = useEach();
beforeAll(() => system.host.definePool(OTHER));

/** The refusal of a request, because another one runs on the image: says which and how far. */
async function expectOtherRuns(asked: Promise<unknown>, running: RegExp): Promise<void> {
  const error: unknown = await asked.catch((refused: unknown) => refused);
  expect(error).toBeInstanceOf(BlockflowError);
  const { details } = error as BlockflowError;
  expect(details.code).toBe('other-operation');
  expect(details.now).toMatch(running);
}

const folder = (pool: string) => join(system.host.pools, pool);
const slow = { bandwidthBytesPerSecond: SLOW };

describe('Negative flow (two moves of one image)', () => {
  it('the same request attaches, one for another pool is refused with the progress', async () => {
    const file = await defineOff(system, 'twice', { bytes: 24 * MIB });
    const before = await contents([file]);
    const request = { image: diskOf('twice'), to: VAULT, ...slow };
    const move = await blockflow.move(request);
    await waitUntil('the copy', async () => (await partBytes(system, basename(file))) > 2 * MIB);
    const same = await blockflow.move(request);
    expect(same).toMatchObject({ attached: true, runId: move.runId });
    const elsewhere = blockflow.move({ ...request, to: OTHER });
    await expectOtherRuns(elsewhere, /move twice\/vda --to vault.*\d+ ?%/);
    await move.setBandwidth(0);
    const result = await move.result();
    expect(await same.result()).toEqual(result);
    await awaitRemoval(blockflow, result);
    expect(await recordOf(system, 'twice')).toBe(inVault(system, file));
    expect(await contents([inVault(system, file)])).toEqual(before);
    expect(await effectsOn(system, 'image.start-copy', 'twice')).toHaveLength(1);
    expect(await poolFiles(folder(OTHER))).toEqual([]);
    expect(await copiers(system)).toEqual([]);
    await rm(inVault(system, file));
  });
});

describe('Negative flow (a move and a merge of one disk)', () => {
  it('a merge is refused while the disk is moved', async () => {
    const scene = await forTest(startOffScene(system, { vm: 'moving', layers: 1, guest: SMALL }));
    const { chain } = scene;
    const before = await contents(chain);
    const move = await blockflow.move({ image: diskOf('moving'), to: VAULT, ...slow });
    await waitUntil('the copy', async () => (await copiers(system)).length > 0);
    const merge = blockflow.merge({ vm: 'moving', disk: 'vda' });
    await expectOtherRuns(merge, /move moving\/vda --to vault/);
    await waitUntil('the limit to go', () => move.setBandwidth(0).then(() => true));
    await awaitRemoval(blockflow, await move.result());
    const targets = chain.map((path) => inVault(system, path));
    expect(await contents(targets)).toEqual(before);
    expect(await poolFiles(folder(POOL))).toEqual([]);
    await expectBoots(scene);
  });

  it('a move is refused while the disk is merged', async () => {
    const scene = await forTest(startScene({ system, vm: 'merging', guest: SMALL }));
    const merge = await system.merge({
      vm: 'merging',
      disk: 'vda',
      bandwidthBytesPerSecond: SLOW,
    });
    await untilCopying(scene);
    const move = blockflow.move({ image: diskOf('merging'), to: VAULT });
    await expectOtherRuns(move, /another operation runs on merging\/vda/);
    expect((await poolFiles(folder(VAULT))).join()).not.toContain('merging');
    await merge.executeUpdate('bandwidth', { args: [0] });
    await expectMerged(scene, merge);
  });
});
