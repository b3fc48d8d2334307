/**
 * Why the pivot is made as it is: with a writer that flushes, SIGKILL at each step of each order of
 * {pivot, record}, and then what the record names is opened. The two usual orders are kept here as
 * test-only variants: that the oracle catches them proves that it can. Ours never loses a write.
 */
import { describe, expect, it } from '@jest/globals';
import { startDaemonScene, type DaemonScene } from '../support/guest/disks/storage-daemon.ts';
import { useEach } from '../support/use.ts';

let scene: DaemonScene;
const forTest = useEach();

/** What recovery opens. */
type Recorded = 'top' | 'base';
/** One step of an order; what it leaves in the record, when that changes. */
type Step = (at: DaemonScene) => Promise<Recorded | undefined>;

const record: Step = () => Promise.resolve('base' as const);
/** Guest writes, flushed; the mirror lags behind them. */
const writes: Step = async ({ writer }) => {
  await writer.untilFlushed(24);
  return undefined;
};
const pivot: Step = async (at) => {
  await at.pivot();
  return undefined;
};
const suspend: Step = async ({ writer }) => {
  await writer.pause();
  return undefined;
};
const resume: Step = ({ writer }) => {
  writer.resume();
  return Promise.resolve(undefined);
};

/** Kills after the first `count` steps, and opens what the record names then. */
async function lostAfter(
  steps: readonly Step[],
  count: number,
  format: 'qcow2' | 'raw',
): Promise<number[]> {
  scene = await forTest(startDaemonScene(format));
  await scene.untilReady();
  await scene.stall();
  let recorded: Recorded = 'top';
  for (const step of steps.slice(0, count)) recorded = (await step(scene)) ?? recorded;
  return scene.killAndOpen(recorded);
}

const ours = [writes, suspend, pivot, record, resume, writes];
const names = ['writes', 'suspend', 'pivot', 'record', 'resume', 'more writes'];

describe.each(['qcow2', 'raw'] as const)('With a %s base, SIGKILL', (format) => {
  it.each(names.map((name, i) => [name, i + 1] as const))(
    'loses nothing after our step "%s"',
    async (_, count) => {
      expect(await lostAfter(ours, count, format)).toEqual([]);
    },
  );

  it('loses flushed writes between "record" and "pivot" in the order record, pivot', async () => {
    expect(await lostAfter([record, writes, pivot], 2, format)).not.toEqual([]);
  });

  it('loses flushed writes between "pivot" and "record" in the order pivot, record', async () => {
    expect(await lostAfter([pivot, writes, record], 2, format)).not.toEqual([]);
  });
});
