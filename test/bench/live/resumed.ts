/** What the death of the agent costs a live move. */
import type { Row } from '../figures.ts';
import { GIB, seconds, timedMove, withMoves } from '../moves-scene.ts';
import { createLive, startGuest } from './scene.ts';

/** Struck at 90 % of a mirror that a limit makes long, and started at once. */
export const resumedLiveMove = (quick: boolean) =>
  withMoves(async (scene): Promise<Row[]> => {
    const mirrorSeconds = quick ? 30 : 100;
    const bytes = GIB;
    const image = await createLive(scene, {
      ...{ vm: 'killed', bytes, kind: 'full', writesPerSecond: 200 },
    });
    await startGuest(image);
    const limit = { bandwidthBytesPerSecond: Math.round(bytes / mirrorSeconds) };
    const { doneMs: whole } = await timedMove(scene, image, limit);
    const { doneMs: struck } = await timedMove(scene, image, limit, async (operation) => {
      for await (const { progress } of operation.progress({ everyMs: 250 })) {
        if ((progress?.percent ?? 0) >= 90) break;
      }
      await scene.system.killRole('host');
      await scene.system.startRole('host');
    });
    const ratio = struck / whole;
    return [
      {
        what: `a live move of ${mirrorSeconds} s whose host agent is killed at 90 %`,
        measured: `${seconds(struck)}, uninterrupted ${seconds(whole)}, ratio ${ratio.toFixed(2)}`,
        goal: 'ratio at most 1.05',
        met: ratio <= 1.05,
      },
    ];
  });
