/** A pool whose disk does not answer: told, given up by a cancel, and no matter of other pools. */
import { open, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, expect, it } from '@jest/globals';
import { ANSWER_WITHIN_MS } from '../../../activities/adapters/files/calls.ts';
import { leaseFile, observeFlockLease } from '../../../activities/pool-folder/flock-lease.ts';
import { forgetCached, mountFaulty } from '../../support/faults/faulty-mount.ts';
import { createImage, defineChain } from '../../support/guest/shut-off-vm.ts';
import { connectTo } from '../../support/host/roles/blockflow-client.ts';
import { SMALL } from '../../support/scenes/merge-checks.ts';
import { expectMerged, untilPhase } from '../../support/scenes/merge-proofs.ts';
import { POOL, startScene, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { startRemoval } from '../../support/scenes/transfer/move-scene.ts';
import { use, useEach } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

/** Less than it takes until the silence of a disk is told. */
const LEASE_SECONDS = 8;
const mount = use('the mount', () => mountFaulty(128));
const config = { leaseSeconds: LEASE_SECONDS };
const system = useSystem(() => startSharedSystem({ name: 'hungpool', config }));
const blockflow = use('the client', () => connectTo(system));
const forTest = useEach();
let goOn: (() => void) | undefined;
beforeAll(() => system.host.definePool('sick', mount.path));
afterEach(() => goOn?.());

const PATIENCE = { timeoutMs: 90_000, intervalMs: 500 };
const untilTold = (vm: string, question: RegExp) =>
  waitUntil(
    `words about ${String(question)}`,
    async () => {
      const { troubles } = await (await blockflow.operation(vm, 'vdb')).status();
      return troubles.some((words) => question.test(words));
    },
    PATIENCE,
  );

/** A merge of a VM that is down, in the pool that is going to hang. */
const mergeOf = (vm: string) => system.merge({ vm, disk: 'vdb' });

it('A plan that waits for it says so, and a cancel ends it meanwhile', async () => {
  const { chain } = await defineChain(system.host, 'ill', mount.path, 2);
  for (const layer of chain) await forgetCached(layer);
  goOn = mount.hang();
  const merge = await mergeOf('ill');
  await untilTold('ill', /there is no answer to: .*ill-\d\.qcow2/);
  await merge.cancel();
  await expect(merge.result()).rejects.toThrow(/cancel/i);
  goOn();
  expect(await (await mergeOf('ill')).result()).toMatchObject({ outcome: 'merged' });
});

it('Nothing that is deleted elsewhere waits for who has a file of it open', async () => {
  const [held, image] = [join(mount.path, 'held.raw'), join(system.host.pools, POOL, 'gone.qcow2')];
  await writeFile(held, 'held');
  await createImage(image);
  const opened = await Promise.all([held, mount.device].map((path) => open(path)));
  await forgetCached(held);
  goOn = mount.hang();
  const request = { pool: POOL, volume: 'gone.qcow2', format: 'qcow2' } as const;
  const removal = await startRemoval(system, request);
  const { events } = await removal.result().then(() => removal.fetchHistory());
  goOn();
  await Promise.all(opened.map((file) => file.close()));
  const times = (events ?? []).map(({ eventTime }) => Number(eventTime?.seconds));
  // A question to the disk that hangs is given up only then.
  expect(Math.max(...times) - Math.min(...times)).toBeLessThan(ANSWER_WITHIN_MS / 1000);
  const attempts = (events ?? []).map((event) => event.activityTaskStartedEventAttributes?.attempt);
  expect(Math.max(...attempts.map((attempt) => attempt ?? 0))).toBe(1);
});

it('Its lease is kept, the agent of all pools lives, and a merge elsewhere pivots', async () => {
  const scene = await forTest(startScene({ system, vm: 'well', guest: SMALL }));
  const other = await system.merge({ vm: 'well', disk: 'vda', waitForDecision: true });
  await untilPhase(other, 'waiting for a decision');
  await defineChain(system.host, 'leased', mount.path, 2);
  await system.killRole('spm');
  await system.startRole('spm', [{ effect: 'storage.quarantine-volume', action: 'stop-before' }]);
  const merge = await mergeOf('leased');
  await system.roleStopped('spm');
  const agent = system.rolePid('spm');
  await forgetCached(leaseFile(mount.path));
  goOn = mount.hang();
  system.signalRole('spm', 'SIGCONT');
  await untilTold('leased', /there is no answer to: .*\.blockflow/);
  await other.executeUpdate('decide', { args: ['pivot'] });
  const [base = ''] = scene.chain;
  const isPivoted = async () => (await system.host.virsh('domblklist', 'well')).includes(base);
  await waitUntil('the pivot', isPivoted, PATIENCE);
  const holder = `spm@h1:${agent}`;
  expect(await observeFlockLease(dirname(base))).toMatchObject({ isHeld: true, holder });
  goOn();
  expect(await merge.result()).toMatchObject({ outcome: 'merged' });
  await expectMerged(scene, other);
  expect(await observeFlockLease(mount.path)).toMatchObject({ isHeld: true, holder });
});
