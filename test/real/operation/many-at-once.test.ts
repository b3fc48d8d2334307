/** Many clients at once: one operation a disk, and every client hears what happened. */
import { basename } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type {
  Blockflow,
  MergeRequest,
  Operation,
  Volume,
  OperationResult,
} from '../../../client/index.ts';
import { connectTo } from '../../support/host/roles/blockflow-client.ts';
import {
  bothXml,
  effectsSince,
  expectLeftClean,
  SMALL,
} from '../../support/scenes/merge-checks.ts';
import { POOL, startScene } from '../../support/scenes/merge-scene.ts';
import {
  diskOf,
  startMoveSystem,
  startOffScene,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'many' }));

const connect = () => connectTo(system);

type Start = (blockflow: Blockflow) => Promise<Operation<OperationResult>>;
interface Started {
  operations: Operation<OperationResult>[];
  refusals: Error[];
}

/** Starts all at once, each from a client of its own; `body` gets what came of it. */
async function startAll(
  starts: readonly Start[],
  body: (started: Started) => Promise<void>,
): Promise<void> {
  const clients = await Promise.all(
    starts.map(async (start) => ({ start, blockflow: await connect() })),
  );
  const all = await Promise.allSettled(clients.map(({ start, blockflow }) => start(blockflow)));
  const operations = all.flatMap((s) => (s.status === 'fulfilled' ? [s.value] : []));
  const refusals = all.flatMap((s) => (s.status === 'rejected' ? [s.reason as Error] : []));
  try {
    await body({ operations, refusals });
  } finally {
    for (const { blockflow } of clients) await blockflow.close();
  }
}

/** The same for merges. */
const mergeAll = (
  requests: readonly MergeRequest[],
  body: (operations: Operation[], refusals: Error[]) => Promise<void>,
) =>
  startAll(
    requests.map(
      (request): Start =>
        (blockflow) =>
          blockflow.merge(request),
    ),
    ({ operations, refusals }) => body(operations as Operation[], refusals),
  );

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
    await mergeAll(requests, async (operations, refusals) => {
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
    await mergeAll(await namesOfOneMerge('web2'), async ([winner, ...more], refusals) => {
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
    await mergeAll([{ vm: 'web2', disk: 'vda', shallow: true }], async ([late]) => {
      const chainAfter = scene.chain.slice(0, 1);
      expect(await late?.result()).toMatchObject({ outcome: 'already-done', chainAfter });
    });
    expect(await effectsOf(before)).toEqual([1, 1, 1]);
    await expectLeftClean(scene, ['web2.qcow2']);
    await scene.verifyAfterCrash();
  });

  it('have one operation on a disk when they ask for merge, move, copy and removal', async () => {
    const scene = await startOffScene(system, { vm: 'web3', guest: SMALL, layers: 1 });
    const [image, top = ''] = [diskOf('web3'), scene.chain.at(-1)];
    const kinds: Start[] = [
      (blockflow) => blockflow.merge({ vm: 'web3', disk: 'vda' }),
      (blockflow) => blockflow.move({ image, to: VAULT }),
      (blockflow) => blockflow.copy({ image, to: VAULT }),
      (blockflow) => blockflow.remove({ pool: POOL, volume: basename(top), format: 'qcow2' }),
    ];
    const starts = Array.from({ length: 20 }, (_, i) => kinds[i % 4] as Start);
    // Without it none can end before the others are started.
    await system.killRole('host');
    await startAll(starts, async ({ operations, refusals }) => {
      const running = /another operation runs on web3\/vda: (merge|move|copy) web3/;
      expect(refusals).toHaveLength(10);
      for (const refusal of refusals) {
        expect(refusal).toMatchObject({ type: 'Refused', details: { code: 'other-operation' } });
        expect(refusal.message).toMatch(running);
      }
      expect(new Set(operations.map(({ runId }) => runId)).size).toBe(2);
      await system.startRole('host');
      const isRemoval = ({ id }: { id: string }) => id === `${POOL}/${basename(top)}`;
      const [removal, ...same] = operations.filter(isRemoval);
      const [winner, ...others] = operations.filter((each) => !isRemoval(each));
      expect([same.length, others.length]).toEqual([4, 4]);
      // A volume of a VM's chain.
      await expect(removal?.result()).rejects.toMatchObject({ type: 'Refused' });
      const result = await winner?.result();
      expect(['merged', 'moved', 'copied']).toContain(result?.outcome);
      for (const other of others) expect(await other.result()).toEqual(result);
    });
    for (const xml of await bothXml(system, 'web3')) expect(xml).not.toContain('urn:blockflow');
    expect(await scene.verifyAfterCrash()).toBeGreaterThan(SMALL.slots ?? 0);
  });
});
