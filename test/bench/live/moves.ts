/** The move of a running VM's image against `virsh blockcopy --wait --pivot` and rm. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { sizeWords } from '../../../workflows/operation/words.ts';
import { median, type Row } from '../figures.ts';
import { GIB, otherPool, seconds, timedMove, withMoves, type MovesScene } from '../moves-scene.ts';
import {
  copyByHand,
  createLive,
  forgetAll,
  pathsOf,
  removeLive,
  startGuest,
  type LiveImage,
  type RunningImage,
} from './scene.ts';

const guests = [
  { words: 'guest idle', writesPerSecond: 1 },
  { words: 'guest writing', writesPerSecond: 200 },
];

export const liveMovesOf = (kind: LiveImage['kind']) => (quick: boolean) =>
  withMoves(async (scene) => {
    const rows: Row[] = [];
    for (const bytes of quick ? [GIB / 4] : [GIB, 4 * GIB]) {
      for (const [at, { words, writesPerSecond }] of guests.entries()) {
        const image = { vm: `${kind}${bytes / 2 ** 20}-${at}`, bytes, kind, writesPerSecond };
        const times = await contest(scene, image, quick ? 1 : 3);
        rows.push(...rowsOf(`live move of ${sizeWords(bytes)}, ${kind}, ${words}`, times));
      }
    }
    return rows;
  });

type Contender = 'convert' | 'none' | 'full' | 'virsh';
type Times = Record<Contender, number[]>;

/** Each round has an image of its own, which moves from pool to pool, each time from the disk. */
async function contest(scene: MovesScene, wanted: LiveImage, repeats: number): Promise<Times> {
  const times: Times = { convert: [], none: [], full: [], virsh: [] };
  for (let round = 0; round < repeats; round++) {
    const image = await createLive(scene, wanted);
    await forgetAll(scene, image);
    times.convert.push(await convert(scene, image));
    await startGuest(image);
    for (const verify of wanted.kind === 'chain'
      ? (['none', 'full'] as const)
      : ['none' as const]) {
      await forgetAll(scene, image);
      times[verify].push((await timedMove(scene, image, { verify })).doneMs);
    }
    // Last, as it leaves one volume of a chain.
    await forgetAll(scene, image);
    times.virsh.push(await copyByHand(scene, image));
    await removeLive(scene, image);
  }
  return times;
}

/** While the VM is down, as no other process may read what a QEMU writes. */
async function convert(scene: MovesScene, image: RunningImage): Promise<number> {
  const target = join(otherPool(scene, image).folder, 'by-hand');
  const begin = performance.now();
  await execa('qemu-img', [
    ...['convert', '-f', 'qcow2', '-O', 'qcow2', '-W', '-m', '16', '-t', 'none', '-T', 'none'],
    ...[pathsOf(scene, image).at(-1) ?? '', target],
  ]);
  await execa('sync', [target]);
  const took = performance.now() - begin;
  await rm(target);
  return took;
}

function rowsOf(words: string, times: Times): Row[] {
  const theirs = median(times.virsh);
  const others =
    `virsh blockcopy and rm ${seconds(theirs)}, ` +
    `qemu-img convert of the same while it is down ${seconds(median(times.convert))}`;
  const row = (what: string, ours: readonly number[], goal: number): Row => {
    const ratio = median(ours.map((took, round) => took / (times.virsh[round] ?? Number.NaN)));
    const [of, n] = [`ratio to virsh ${ratio.toFixed(2)}`, `n=${ours.length}`];
    return {
      what,
      measured: `${seconds(median(ours))}, ${others}, ${of}, ${n}`,
      goal: `ratio at most ${goal.toFixed(1)}`,
      met: ratio <= goal,
    };
  };
  return [
    row(times.full.length > 0 ? `${words}, not verified` : words, times.none, 1),
    ...(times.full.length > 0 ? [row(`${words}, verified`, times.full, 1.3)] : []),
  ];
}
