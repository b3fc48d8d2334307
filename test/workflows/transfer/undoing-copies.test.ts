/** A move or copy that ends before its switch: told at once, undone by a workflow of its own. */
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { copyImageInput, moveImageInput } from '../../../workflows/transfer/request.ts';
import type { RemoveImageResult } from '../../../workflows/removal/kind.ts';
import { statusQuery } from '../../../workflows/kinds.ts';
import { undoHandle } from '../../support/scenes/transfer/image-operations.ts';
import { serveImage, SimulatedImage } from '../../support/simulator/one-simulated-image.ts';
import { waitUntil } from '../../support/wait-until.ts';
import {
  CACHES,
  TRIED_CACHES,
  createGate,
  startBench,
  type Cache,
} from '../../support/workflow-bench.ts';
import { use } from '../../support/use.ts';

let image: SimulatedImage;
const bench = use('the bench', startBench);
beforeAll(() => serveImage(bench, () => image));
beforeEach(() => {
  image = new SimulatedImage();
});

const phase = async (handle: WorkflowHandle) => (await handle.query(statusQuery)).phase;
const untilPhase = (handle: WorkflowHandle, wanted: string) =>
  waitUntil(`phase ${wanted}`, async () => (await phase(handle)) === wanted);
const eventsOf = async ({ workflowId }: WorkflowHandle) =>
  (await bench.allEvents()).filter((event) => event.workflowId === workflowId);

const ref = { kind: 'volume', pool: 'images', volume: 'a.qcow2', format: 'qcow2' } as const;
const request = { host: 'h2', image: ref, to: 'attic', verify: 'none' } as const;
const [cached] = CACHES;

function start(type: 'MoveImage' | 'CopyImage', { cache: taskQueue }: Cache) {
  const schema = type === 'MoveImage' ? moveImageInput : copyImageInput;
  const args = [schema.parse(request)];
  return bench.client.workflow.start(type, { workflowId: 'images/a.qcow2', taskQueue, args });
}
/** @returns the deletion of its copies */
async function cancelled(type: 'MoveImage' | 'CopyImage' = 'MoveImage', cache: Cache = cached) {
  const move = await start(type, cache);
  await untilPhase(move, 'copying');
  await move.cancel();
  await expect(move.result()).rejects.toThrow();
  return undoHandle(bench, move);
}

describe.each(TRIED_CACHES)('Copies in vain, $cache,', (cache) => {
  it('are deleted once their pool is there, of which the cancel does not wait', async () => {
    image.isAway = true;
    const undo = await cancelled('MoveImage', cache);
    await untilPhase(undo, 'waiting for the pool');
    expect(image.reserved.size).toBe(1);
    image.isAway = false;
    expect(await undo.result()).toMatchObject({ outcome: 'removed' });
    expect(image.reserved.size).toBe(0);
    expect((await eventsOf(undo)).map(({ kind }) => kind)).toEqual(['started', 'removed']);
    expect(image.calls.indexOf('ensureImageReleased')).toBeLessThan(
      image.calls.indexOf('observeRemovalPlan'),
    );
  });
});

/** Once under both is enough: without a cache a started child costs a task's time-out, 10 s. */
describe('Copies in vain', () => {
  it('of two attempts are deleted by two workflows', async () => {
    image.isAway = true;
    const undos = [await cancelled(), await cancelled('CopyImage')];
    expect(image.reserved.size).toBe(2);
    image.isAway = false;
    for (const undo of undos) expect(await undo.result()).toMatchObject({ outcome: 'removed' });
    expect(image.reserved.size).toBe(0);
  });

  it('stay when a repeated request has adopted them', async () => {
    image.isAway = true;
    const undo = await cancelled();
    const [jobId = ''] = image.reserved.keys();
    image.reserved.set(jobId, 'another run');
    image.isAway = false;
    const result = (await undo.result()) as RemoveImageResult;
    expect(result).toMatchObject({ outcome: 'kept', deleted: [] });
    expect(image.reserved.size).toBe(1);
    expect((await eventsOf(undo)).map(({ kind }) => kind)).toEqual(['started', 'kept']);
  });

  it.each(['MoveImage', 'CopyImage'] as const)(
    'of a %s that is cancelled while it gives them their names are deleted',
    async (type) => {
      image.copies = false;
      const gate = createGate();
      image.gate = { activity: 'ensureImageNamed', pass: gate.pass };
      const move = await start(type, cached);
      await gate.reached;
      await move.cancel();
      await phase(move);
      gate.open();
      await expect(move.result()).rejects.toThrow();
      expect(await (await undoHandle(bench, move)).result()).toMatchObject({ outcome: 'removed' });
      expect(image.reserved.size).toBe(0);
    },
  );
});
