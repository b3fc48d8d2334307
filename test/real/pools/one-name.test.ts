/** Two hosts that each have a pool of the same name, on storage of their own. */
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { createImage } from '../../support/guest/shut-off-vm.ts';
import { SECOND, startSecondHost } from '../../support/host/second-host.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { startMoveSystem, startRemoval } from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { use } from '../../support/use.ts';

const first = use('the first host', () => startMoveSystem({ name: 'h1' }));
const second = use('the second host', () => startSecondHost(first, []));

/** Enough that a queue that both poll would not serve all of them rightly by chance. */
const IMAGES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((name) => `${name}.qcow2`);

it("A step goes to the SPM of the pool that it is about, never to the other host's", async () => {
  const folder = await second.host.definePool(POOL);
  for (const name of IMAGES) await createImage(join(folder, name));
  for (const volume of IMAGES) {
    const request = { pool: POOL, volume, format: 'qcow2', host: SECOND } as const;
    const removal = await startRemoval(first, request);
    expect(await removal.result()).toMatchObject({ outcome: 'removed' });
    const { events } = await removal.fetchHistory();
    const started = (events ?? []).flatMap(
      (event) => event.activityTaskStartedEventAttributes ?? [],
    );
    const deleting = started.filter(({ identity }) => identity?.startsWith('spm@'));
    expect(deleting.map(({ identity, attempt }) => [identity, attempt])).toEqual([
      [`spm@${SECOND}:${second.rolePid('spm')}`, 1],
    ]);
  }
  expect(await poolFiles(folder)).toEqual([]);
});
