/** History events of a merge: few, and not more when it lasts longer. */
import { startScene, startSharedSystem } from '../support/scenes/merge-scene.ts';
import type { System } from '../support/host/system.ts';
import type { Row } from './figures.ts';

export async function historyLength(quick: boolean): Promise<Row[]> {
  const system = await startSharedSystem({ onDisk: true });
  try {
    const fast = await merge(system, 'fast', 0);
    const slow = await merge(system, 'slow', quick ? 200_000 : 20_000);
    const equal = fast.events === slow.events;
    return [
      {
        what: 'history events of a merge',
        measured: `${fast.events} in ${fast.seconds} s, ${slow.events} in ${slow.seconds} s`,
        goal: 'at most 40, however long',
        met: Math.max(fast.events, slow.events) <= 40 && equal,
        points: [fast, slow].map(({ seconds, events }) => ({
          picture: 'history-by-duration',
          line: 'events',
          x: seconds,
          y: events,
        })),
      },
    ];
  } finally {
    await system.close();
  }
}

async function merge(system: System, vm: string, bandwidthBytesPerSecond: number) {
  // A guest that writes nothing new leaves the limit alone to decide how long the copy lasts.
  const scene = await startScene({ system, vm, guest: { writesPerSecond: 20 } });
  await system.host.virsh('suspend', vm);
  const begin = performance.now();
  const operation = await system.merge({ vm, disk: 'vda', bandwidthBytesPerSecond });
  await operation.result();
  const seconds = Math.round((performance.now() - begin) / 1000);
  const events = (await operation.fetchHistory()).events?.length ?? 0;
  await scene.close();
  return { events, seconds };
}
