/** What the death of an agent, or of the orchestrator, costs a move. */
import type { Row } from './figures.ts';
import {
  createImage,
  GIB,
  move,
  seconds,
  withMoves,
  type Image,
  type MovesScene,
} from './moves-scene.ts';

/** Struck at 90 % of a copy that a limit makes long, and started at once. */
export const resumedMove = (quick: boolean) =>
  withMoves((scene) => resumed(scene, quick ? 20 : 100));

async function resumed(scene: MovesScene, copySeconds: number): Promise<Row[]> {
  const image: Image = { vm: 'killed', format: 'raw', dataBytes: GIB };
  await createImage(scene, image);
  const limit = { bandwidthBytesPerSecond: Math.round(GIB / copySeconds), verify: 'none' } as const;
  const whole = await move(scene, image, limit);
  const rows: Row[] = [];
  for (const role of ['host', 'orchestrator'] as const) {
    const struck = await move(scene, image, limit, async (operation) => {
      for await (const { progress } of operation.progress({ everyMs: 250 })) {
        if ((progress?.percent ?? 0) >= 90) break;
      }
      await scene.system.killRole(role);
      await scene.system.startRole(role);
    });
    const ratio = struck / whole;
    const who = role === 'host' ? 'host agent' : role;
    rows.push({
      what: `a copy of ${copySeconds} s whose ${who} is killed at 90 %`,
      measured: `${seconds(struck)}, uninterrupted ${seconds(whole)}, ratio ${ratio.toFixed(2)}`,
      goal: 'ratio at most 1.15',
      met: ratio <= 1.15,
    });
  }
  return rows;
}
