/** Many clients at once: one operation a disk, and every client hears what happened. */
import { basename } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { MergeRequest, Operation, Volume } from '../../client/index.ts';
import { connectTo } from '../support/blockflow-client.ts';
import { effectsSince, expectLeftClean, SMALL } from '../support/merge-checks.ts';
import { startScene, startSharedSystem } from '../support/merge-scene.ts';
import type { System } from '../support/system.ts';

let system: System;
beforeAll(async () => {
  system = await startSharedSystem({ name: 'many' });
});
afterAll(() => system?.close());

const connect = () => connectTo(system);

/**
 * Starts all requests at once, each from a client of its own. `body` gets what was started or
 * attached to, and why the others were refused.
 */
async function startAll(
  requests: readonly MergeRequest[],
  body: (operations: Operation[], refusals: Error[]) => Promise<void>,
): Promise<void> {
  const clients = await Promise.all(
    requests.map(async (request) => ({ request, blockflow: await connect() })),
  );
  const starting = clients.map(({ request, blockflow }) => blockflow.merge(request));
  const starts = await Promise.allSettled(starting);
  const operations = starts.flatMap((s) => (s.status === 'fulfilled' ? [s.value] : []));
  const refusals = starts.flatMap((s) => (s.status === 'rejected' ? [s.reason as Error] : []));
  try {
    await body(operations, refusals);
  } finally {
    for (const { blockflow } of clients) await blockflow.close();
  }
}

/** Waits until the operation asks for a decision, and lets it pivot. */
async function letPivot(operation: Operation | undefined): Promise<void> {
  for await (const { status } of operation?.progress({ everyMs: 50 }) ?? []) {
    if (status?.phase === 'waiting for a decision') break;
  }
  await operation?.decide('pivot');
}

/** How often the effects of a merge have happened. */
async function effectsOf(before: number): Promise<number[]> {
  const names = (await effectsSince(system, before)).map((line) => line.split(' ')[0]);
  const effects = ['libvirt.start-commit', 'libvirt.pivot', 'storage.unlink-volume'];
  return effects.map((name) => names.filter((seen) => seen === name).length);
}

/** Twenty requests for the same merge in different words: blockflow cannot know beforehand. */
async function namesOfOneMerge(vm: string): Promise<MergeRequest[]> {
  const client = await connect();
  const { volumes } = await client.chain({ vm, disk: 'vda' });
  await client.close();
  const namesOf = ({ path, index }: Volume) => [path, basename(path), `vda[${index}]`];
  const [bases = [], tops = []] = volumes.map(namesOf);
  const lowers = [{}, { shallow: true }, ...bases.map((base) => ({ base }))];
  return [{}, ...tops.map((top) => ({ top }))].flatMap((upper) =>
    lowers.map((lower) => ({ ...disk(vm), ...upper, ...lower })),
  );
}

const disk = (vm: string) => ({ vm, disk: 'vda', waitForDecision: true });

describe('Twenty clients at once', () => {
  it('have one operation and one result when they ask for the same', async () => {
    const scene = await startScene({ system, vm: 'web1', guest: SMALL });
    const before = (await system.effects()).length;
    const requests = Array.from({ length: 20 }, () => disk('web1'));
    await startAll(requests, async (operations, refusals) => {
      expect(refusals).toEqual([]);
      expect(operations.filter(({ attached }) => !attached)).toHaveLength(1);
      expect(new Set(operations.map(({ runId }) => runId)).size).toBe(1);
      await letPivot(operations[0]);
      const [first, ...others] = await Promise.all(operations.map((each) => each.result()));
      expect(first).toMatchObject({ outcome: 'merged', deleted: scene.chain.slice(1) });
      for (const other of others) expect(other).toEqual(first);
    });
    expect(await effectsOf(before)).toEqual([1, 1, 1]);
    await expectLeftClean(scene, ['web1.qcow2']);
    await scene.verifyAfterCrash();
  });

  it('are told which one runs when they ask for different things on a disk', async () => {
    const scene = await startScene({ system, vm: 'web2', guest: SMALL });
    const before = (await system.effects()).length;
    await startAll(await namesOfOneMerge('web2'), async ([winner, ...more], refusals) => {
      expect(more).toEqual([]);
      expect(refusals).toHaveLength(19);
      const phases = '(planning|copying|waiting for a decision|the orchestrator)';
      const running = new RegExp(`another operation runs on web2/vda: merge web2 vda.*${phases}`);
      for (const refusal of refusals) {
        expect(refusal).toMatchObject({ type: 'Refused', details: { code: 'other-operation' } });
        expect(refusal.message).toMatch(running);
      }
      await letPivot(winner);
      expect(await winner?.result()).toMatchObject({ outcome: 'merged' });
    });
    await startAll([{ vm: 'web2', disk: 'vda', shallow: true }], async ([late]) => {
      const chainAfter = scene.chain.slice(0, 1);
      expect(await late?.result()).toMatchObject({ outcome: 'already-done', chainAfter });
    });
    expect(await effectsOf(before)).toEqual([1, 1, 1]);
    await expectLeftClean(scene, ['web2.qcow2']);
    await scene.verifyAfterCrash();
  });
});
