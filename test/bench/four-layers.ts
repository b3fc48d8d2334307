/** Four layers over the same range: one job against one merge a layer. */
import { startSharedSystem } from '../support/scenes/merge-scene.ts';
import { HOST, startMerge, type System } from '../support/host/system.ts';
import { createDeltas } from './delta.ts';
import { timed } from './measuring.ts';
import { median, ms, type Row } from './figures.ts';

const LAYER_BYTES = 512 * 2 ** 20;

export async function fourLayers(quick: boolean): Promise<Row[]> {
  const system = await startSharedSystem({ onDisk: true });
  try {
    const vm = 'layers';
    const next = createDeltas(system, vm, 1);
    const layers = [LAYER_BYTES, LAYER_BYTES, LAYER_BYTES, LAYER_BYTES];
    const together: number[] = [];
    const single: number[] = [];
    for (let i = 0; i < (quick ? 1 : 3); i++) {
      await next(layers);
      together.push(await timed(() => merge(system, vm, {})));
      const { overlays } = await next(layers);
      single.push(
        await timed(async () => {
          // Bottom up: each layer is committed into the base while it is still small.
          for (const top of overlays) await merge(system, vm, { top });
        }),
      );
    }
    const ratio = median(single.map((value, i) => value / (together[i] ?? Number.NaN)));
    const measured =
      `one job ${ms(median(together))}, one by one ${ms(median(single))}, ` +
      `${ratio.toFixed(1)} times faster, n=${together.length}`;
    const goal = 'at least 3 times faster';
    return [{ what: 'four layers of 512 MiB', measured, goal, met: ratio >= 3 }];
  } finally {
    await system.close();
  }
}

async function merge(system: System, vm: string, request: { top?: string }): Promise<void> {
  await (await startMerge(system.client, { vm, disk: 'vda', host: HOST, ...request })).result();
}
