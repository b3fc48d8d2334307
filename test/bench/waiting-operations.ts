/** CPU of a host agent, with everything that it started, while 100 operations wait at READY. */
import { setTimeout as sleep } from 'node:timers/promises';
import { statusQuery } from '../../workflows/kinds.ts';
import { defineManyDisks } from '../support/guest/disks/many-disks.ts';
import { startSharedSystem } from '../support/scenes/merge-scene.ts';
import { HOST, startMerge } from '../support/host/system.ts';
import { waitUntil } from '../support/wait-until.ts';
import { cpuSeconds } from './cpu-seconds.ts';
import type { Row } from './figures.ts';

export async function waitingOperations(quick: boolean): Promise<Row[]> {
  const count = quick ? 10 : 100;
  const system = await startSharedSystem({ onDisk: true });
  try {
    const disks = await defineManyDisks(system, count);
    const merges = await Promise.all(
      disks.map((disk) =>
        startMerge(system.client, { vm: 'many', disk, host: HOST, waitForDecision: true }),
      ),
    );
    for (const merge of merges) {
      await waitUntil(
        `${merge.workflowId} to wait for a decision`,
        async () => (await merge.query(statusQuery)).phase === 'waiting for a decision',
        { timeoutMs: 600_000, intervalMs: 500 },
      );
    }
    const agent = system.rolePid('host');
    const seconds = quick ? 10 : 30;
    const before = await cpuSeconds(agent);
    await sleep(seconds * 1000);
    const used = (((await cpuSeconds(agent)) - before) / seconds) * 100;
    return [
      {
        what: `CPU of a host agent with ${count} waiting operations`,
        measured: `${used.toFixed(1)} % of a core over ${seconds} s`,
        goal: 'under 2 %',
        met: used < 2,
      },
    ];
  } finally {
    await system.close();
  }
}
