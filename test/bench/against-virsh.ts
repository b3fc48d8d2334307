/**
 * LiveMerge end to end against `virsh blockcommit --active --wait --pivot` plus rm, alternating on
 * the same disk.
 */
import { startSharedSystem } from '../support/scenes/merge-scene.ts';
import { startMerge, HOST, type System } from '../support/host/system.ts';
import { createDeltas, removeFiles, type Delta } from './delta.ts';
import { median, ms, percentile, type Point, type Row } from './figures.ts';

const MIB = 2 ** 20;
const sizes = [
  { mib: 1, repeats: 15, goal: 0.6 },
  { mib: 256, repeats: 15, goal: 1 },
  { mib: 1024, repeats: 15, goal: 1 },
];
const guests = [
  { words: 'guest idle', writesPerSecond: 1 },
  { words: 'guest writing', writesPerSecond: 200 },
];

export async function againstVirsh(quick: boolean): Promise<Row[]> {
  const system = await startSharedSystem({ onDisk: true });
  try {
    const rows: Row[] = [];
    for (const [i, { words, writesPerSecond }] of guests.entries()) {
      const vm = `pair${i}`;
      const next = createDeltas(system, vm, writesPerSecond);
      // The first merge of an orchestrator compiles its workflow code.
      await withBlockflow(system, vm, await next([MIB]));
      for (const { mib, repeats, goal } of sizes) {
        const pairs = await measure(system, vm, next, mib * MIB, quick ? 2 : repeats);
        rows.push(toRow({ mib, words, goal }, pairs));
      }
    }
    return rows;
  } finally {
    await system.close();
  }
}

interface Pair {
  blockflowMs: number;
  virshMs: number;
}

async function measure(
  system: System,
  vm: string,
  next: (layers: readonly number[]) => Promise<Delta>,
  bytes: number,
  repeats: number,
): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (let i = 0; i < repeats; i++) {
    const virshMs = await withVirsh(system, vm, await next([bytes]));
    const blockflowMs = await withBlockflow(system, vm, await next([bytes]));
    pairs.push({ blockflowMs, virshMs });
  }
  return pairs;
}

async function withBlockflow(system: System, vm: string, delta: Delta): Promise<number> {
  const begin = performance.now();
  const merge = await startMerge(system.client, { vm, disk: 'vda', host: HOST });
  const { deleted } = await merge.result();
  const end = performance.now();
  if (deleted.join() !== delta.overlays.join()) throw new Error('not everything was deleted');
  return end - begin;
}

async function withVirsh(system: System, vm: string, delta: Delta): Promise<number> {
  const begin = performance.now();
  await system.host.virsh('blockcommit', vm, 'vda', '--active', '--wait', '--pivot');
  await removeFiles(delta.overlays);
  return performance.now() - begin;
}

function toRow(
  { mib, words, goal }: { mib: number; words: string; goal: number },
  pairs: readonly Pair[],
): Row {
  const ours = pairs.map((pair) => pair.blockflowMs);
  const theirs = pairs.map((pair) => pair.virshMs);
  const ratio = median(pairs.map((pair) => pair.blockflowMs / pair.virshMs));
  const point = (line: string, y: number): Point => ({
    picture: 'merges-by-size',
    line: `${line}, ${words}`,
    x: mib,
    y: Math.round(y),
  });
  return {
    what: `merge of ${mib} MiB, ${words}`,
    measured:
      `blockflow ${ms(median(ours))} (p99 ${ms(percentile(ours, 99))}), virsh ` +
      `${ms(median(theirs))} (p99 ${ms(percentile(theirs, 99))}), ratio ${ratio.toFixed(2)}, ` +
      `n=${pairs.length}`,
    goal: `ratio at most ${goal}`,
    met: ratio <= goal,
    points: [point('blockflow', median(ours)), point('virsh', median(theirs))],
  };
}
