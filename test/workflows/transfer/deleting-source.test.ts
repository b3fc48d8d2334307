/** What a move leaves behind is deleted by a workflow of the move's own job. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Connection, WorkflowHandle } from '@temporalio/client';
import { parseOperation } from '../../../client/cli/arguments/image-argument.ts';
import { openOperation } from '../../../client/library/operation.ts';
import { moveImageInput } from '../../../workflows/transfer/request.ts';
import { kinds, statusQuery } from '../../../workflows/kinds.ts';
import type { TransferResult } from '../../../workflows/transfer/kind.ts';
import { undoHandle } from '../../support/scenes/transfer/image-operations.ts';
import { serveImage, SimulatedImage } from '../../support/simulator/one-simulated-image.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { CACHES, createGate, startBench, type Gate } from '../../support/workflow-bench.ts';
import { use } from '../../support/use.ts';

type Call = (input: unknown) => Promise<unknown>;
let image: SimulatedImage;
let gate: Gate;
const bench = use('the bench', startBench);
beforeAll(() => serveImage(bench, () => image));
/** A removal stands still in its plan, as one that waits or wipes for hours. */
beforeEach(() => {
  image = new SimulatedImage();
  image.copies = false;
  const made = createGate();
  image.gate = { activity: 'observeRemovalPlan', pass: made.pass };
  gate = made;
});
afterEach(() => gate?.open());

const [{ cache: taskQueue }] = CACHES;
const ref = { kind: 'volume', pool: 'images', volume: 'a.qcow2', format: 'qcow2' } as const;

function start() {
  const input = moveImageInput.parse({ host: 'h2', image: ref, to: 'attic', verify: 'none' });
  const options = { workflowId: 'images/a.qcow2', taskQueue };
  return bench.client.workflow.start<Call>('MoveImage', { ...options, args: [input] });
}
const moved = async () => (await (await start()).result()) as TransferResult;
const removalOf = ({ removal }: TransferResult) => bench.client.workflow.getHandle(removal ?? '');

/** As the command line follows it. */
async function failureOf(handle: WorkflowHandle) {
  const { client } = bench;
  const connection = client.connection as Connection;
  const session = { client, connection, namespace: 'default', address: '', host: 'h2' };
  const { runId } = await handle.describe();
  const isRemoval = handle.workflowId.includes('/a.qcow2/');
  const kind = isRemoval ? kinds.RemoveImage : kinds.MoveImage;
  const operation = openOperation(session, handle, { runId, attached: true }, kind);
  return operation.result().then(
    () => null,
    (error: unknown) => error,
  );
}

describe('The deletion of a source', () => {
  it('is its own, also while that of the same name before it still runs', async () => {
    const [first, second] = [await moved(), await moved()];
    for (const { removal, jobId, warnings } of [first, second]) {
      expect([removal, warnings]).toEqual([`images/a.qcow2/removal/${jobId}`, []]);
    }
    expect(first.removal).not.toBe(second.removal);
    // As `blockflow status` takes it.
    const disk = `a.qcow2/removal/${first.jobId}`;
    expect(parseOperation(first.removal ?? '')).toEqual({ vm: 'images', disk });
    gate.open();
    for (const result of [first, second]) {
      expect(await removalOf(result).result()).toMatchObject({ outcome: 'removed' });
    }
  });

  it('is that of the run before, when this one goes on with its job', async () => {
    const first = await moved();
    const jobId = first.jobId ?? '';
    image.switched = { jobId, owner: jobId };
    const second = await moved();
    expect(second).toMatchObject({ jobId, removal: first.removal, warnings: [] });
    gate.open();
    expect(await removalOf(first).result()).toMatchObject({ outcome: 'removed' });
  });
});

describe('A cancel is told with what is true then', () => {
  it('of a move: the source is untouched, and who deletes its copies', async () => {
    image.copies = true;
    const move = await start();
    const phase = async () => (await move.query(statusQuery)).phase;
    await waitUntil('a copy', async () => (await phase()) === 'copying');
    await move.cancel();
    const failure = await failureOf(move);
    const undo = await undoHandle(bench, move);
    const now = `cancelled: the source is untouched, ${undo.workflowId} deletes its copies`;
    expect(failure).toMatchObject({ type: 'Cancelled', details: { now } });
    gate.open();
    await undo.result();
  });

  it('of a removal: what the move has left stays', async () => {
    const removal = removalOf(await moved());
    await gate.reached;
    await removal.cancel();
    await waitUntil('the cancel to be heard', async () => {
      const { events } = await removal.fetchHistory();
      return events?.some((event) => event.workflowExecutionCancelRequestedEventAttributes);
    });
    gate.open();
    const command = '`blockflow rm images/a.qcow2 --source-format qcow2`';
    const now: unknown = expect.stringContaining(`what the move has left stays; ${command}`);
    expect(await failureOf(removal)).toMatchObject({ type: 'Cancelled', details: { now } });
  });
});
