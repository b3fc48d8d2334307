/** Two hosts whose pools have one id, as one is on a clone of the other one's disk. */
import { existsSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { observeFlockLease } from '../../../activities/pool-folder/flock-lease.ts';
import { observePoolId } from '../../../activities/pool-folder/id.ts';
import { missingPool } from '../../../activities/pool-folder/known-pools.ts';
import { createImage } from '../../support/guest/shut-off-vm.ts';
import { SECOND, startSecondHost } from '../../support/host/second-host.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { startMoveSystem, startRemoval } from '../../support/scenes/transfer/move-scene.ts';
import { use } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

const first = use('the first host', () => startMoveSystem({ name: 'copied-pool' }));
const second = use('the second host', () => startSecondHost(first, []));

const original = () => join(first.host.pools, POOL);
const copy = () => join(second.host.pools, POOL);
const volumes = Array.from({ length: 8 }, (_, index) => `twin${index}.qcow2`);

const untilServed = (folder: string, holder: string) =>
  waitUntil(`${holder} to serve ${folder}`, async () => {
    const lease = await observeFlockLease(folder);
    return lease?.isHeld && lease.holder.startsWith(holder);
  });
const why = () => missingPool(join(second.host.root, 'state'), copy());
const remove = async (volume: string) =>
  (await startRemoval(first, { pool: POOL, volume, format: 'qcow2', wipe: false })).result();

describe('A pool that was copied with its id', () => {
  it('is not served while its original is, so nothing of it is deleted', async () => {
    await untilServed(original(), 'spm@h1');
    for (const volume of volumes) await createImage(join(original(), volume));
    await cp(original(), copy(), { recursive: true });
    await second.host.definePool(POOL);
    const { now, next } = await waitUntil('the copy to be found out', async () => {
      return (await why()) ?? undefined;
    });
    expect(now).toContain(`spm@h1:${first.rolePid('spm')} serves`);
    expect(next).toContain(`rm ${join(copy(), '.blockflow/id')}`);
    for (const volume of volumes) {
      expect(await remove(volume)).toMatchObject({ outcome: 'removed' });
      expect(existsSync(join(original(), volume))).toBe(false);
      expect(existsSync(join(copy(), volume))).toBe(true);
    }
  });

  it('stays unserved when the agent of its original dies, which serves it again', async () => {
    await first.killRole('spm');
    await second.killRole('spm');
    await second.startRole('spm');
    const volume = 'later.qcow2';
    for (const folder of [original(), copy()]) await createImage(join(folder, volume));
    const removal = remove(volume);
    await first.startRole('spm');
    expect(await removal).toMatchObject({ outcome: 'removed' });
    expect(existsSync(join(copy(), volume))).toBe(true);
  });

  it('becomes a pool of its own when its id is removed, as the message says', async () => {
    await rm(join(copy(), '.blockflow/id'));
    await untilServed(copy(), `spm@${SECOND}`);
    expect(await why()).toBeNull();
    expect(await observePoolId(copy())).not.toBe(await observePoolId(original()));
  });
});
