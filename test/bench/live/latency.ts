/** How long the guest's own writes take while its disk is mirrored, as QEMU accounts them. */
import { z } from 'zod';
import { sizeWords } from '../../../workflows/operation/words.ts';
import type { Row } from '../figures.ts';
import { GIB, timedMove, withMoves, type MovesScene } from '../moves-scene.ts';
import { listenToQemu } from './qemu-events.ts';
import { copyByHand, createLive, forgetAll, startGuest, type RunningImage } from './scene.ts';

/** Upper bounds of the classes of QEMU's histogram, in nanoseconds: 10 us to 1 s, by 10 %. */
const BOUNDARIES = Array.from({ length: 121 }, (_, at) => Math.round(10_000 * 1.1 ** at));
const READ_NONE = 2000;

export const latencyInLiveMove = (quick: boolean) =>
  withMoves(async (scene): Promise<Row[]> => {
    const bytes = quick ? GIB : 4 * GIB;
    const image = await createLive(scene, {
      ...{ vm: 'latency', bytes, kind: 'full', writesPerSecond: 500 },
    });
    await startGuest(image);
    const bins: Record<Contender, Bins> = { none: [], virsh: [], ours: [] };
    for (let round = 0; round < (quick ? 3 : 5); round++) {
      add(bins.none, await undisturbed(scene, image));
      await forgetAll(scene, image);
      add(bins.virsh, await inMirror(scene, image, () => copyByHand(scene, image)));
      await forgetAll(scene, image);
      add(bins.ours, await inMirror(scene, image, () => timedMove(scene, image, {})));
    }
    return rowsOf(bytes, bins);
  });

/** Writes of each class. */
type Bins = number[];
type Contender = 'none' | 'virsh' | 'ours';

function add(sum: Bins, bins: Bins): void {
  for (const [at, count] of bins.entries()) sum[at] = (sum[at] ?? 0) + count;
}

async function undisturbed(scene: MovesScene, image: RunningImage): Promise<Bins> {
  await forgetAll(scene, image);
  const histogram = await histogramOf(scene, image);
  await histogram.begin();
  await image.guest.waitForAcks(READ_NONE, 120_000);
  return histogram.read();
}

/** From the start of the mirror until it is READY: what comes after it is no mirror's work. */
async function inMirror(
  scene: MovesScene,
  image: RunningImage,
  work: () => Promise<unknown>,
): Promise<Bins> {
  const names = '^(BLOCK_JOB_READY|JOB_STATUS_CHANGE)$';
  const events = listenToQemu(scene.system.host, image.vm, names);
  try {
    const histogram = await histogramOf(scene, image);
    const ended = work();
    ended.catch(() => undefined);
    await events.until('the mirror', 0, ({ data }) => data.includes('"running"'));
    await histogram.begin();
    await events.until('READY', 0, ({ name }) => name === 'BLOCK_JOB_READY');
    const bins = await histogram.read();
    await ended;
    return bins;
  } finally {
    await events.stop();
  }
}

const statistics = z.object({
  return: z.array(
    z.object({
      qdev: z.string(),
      stats: z.object({
        wr_latency_histogram: z.object({ bins: z.array(z.number()) }).optional(),
      }),
    }),
  ),
});

/** QEMU's own, of the one disk: from the guest's request to its completion. */
async function histogramOf({ system: { host } }: MovesScene, { vm }: RunningImage) {
  const ask = (execute: string, more: object = {}) =>
    host.virsh('qemu-monitor-command', vm, JSON.stringify({ execute, ...more }));
  const look = async () => statistics.parse(JSON.parse(await ask('query-blockstats'))).return[0];
  const id = (await look())?.qdev;
  return {
    async begin(): Promise<void> {
      const wanted = { id, 'boundaries-write': BOUNDARIES };
      await ask('block-latency-histogram-set', { arguments: wanted });
    },
    read: async (): Promise<Bins> => (await look())?.stats.wr_latency_histogram?.bins ?? [],
  };
}

/** Milliseconds that so many of a hundred writes take at most, by classes of 10 %. */
function percentileOf(bins: Bins, p: number): number {
  const all = bins.reduce((sum, count) => sum + count, 0);
  let below = 0;
  const at = bins.findIndex((count) => (below += count) >= (p / 100) * all);
  return (BOUNDARIES[at] ?? Number.POSITIVE_INFINITY) / 1e6;
}

function rowsOf(bytes: number, { none, virsh, ours }: Record<Contender, Bins>) {
  const row = (name: string, p: number): Row => {
    const words = (bins: Bins) => `${percentileOf(bins, p).toFixed(2)} ms`;
    const ratio = percentileOf(ours, p) / percentileOf(virsh, p);
    const toNone = percentileOf(ours, p) / percentileOf(none, p);
    return {
      what: `guest's writes during the mirror of ${sizeWords(bytes)}, ${name}`,
      measured:
        `${words(ours)}, virsh blockcopy ${words(virsh)}, no mirror ${words(none)}, ` +
        `ratio ${ratio.toFixed(2)} to virsh, ${toNone.toFixed(2)} to none, ` +
        `n=${ours.reduce((sum, count) => sum + count, 0)}`,
      goal: '-',
      met: null,
    };
  };
  return [row('median', 50), row('p99', 99)];
}
