/** READY to pivot, and the guest's stall, over many small merges under a writing guest. */
import { startScene } from '../support/scenes/merge-scene.ts';
import { snapshotAgain } from './measuring.ts';
import { median, ms, percentile, type Row } from './figures.ts';

export async function latencies(quick: boolean): Promise<Row[]> {
  const scene = await startScene({ onDisk: true });
  const { system } = scene;
  const toPivot: number[] = [];
  const stalls: number[] = [];
  try {
    for (let i = 0; i < (quick ? 5 : 40); i++) {
      const { stallMs, readyToPivotMs } = await (
        await system.merge({ vm: 'web1', disk: 'vda' })
      ).result();
      // The first merge compiles the workflow code.
      if (i > 0 && stallMs !== null && readyToPivotMs !== null) {
        stalls.push(stallMs);
        toPivot.push(readyToPivotMs);
      }
      await snapshotAgain(scene, 20);
    }
  } finally {
    await scene.close();
  }
  return [
    toRow('READY to pivot issued', toPivot, 20),
    toRow('guest stall at the pivot', stalls, 50),
  ];
}

function toRow(what: string, values: readonly number[], goalMs: number): Row {
  const p99 = percentile(values, 99);
  return {
    what,
    measured: `median ${ms(median(values))}, p99 ${ms(p99)}, n=${values.length}`,
    goal: `p99 at most ${goalMs} ms`,
    met: p99 <= goalMs,
  };
}
