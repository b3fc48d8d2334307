/** READY to pivot of eleven VMs on a host, with the QEMU of a twelfth one running and stopped. */
import { findQemu } from '../../activities/adapters/files/open-files.ts';
import { statusQuery } from '../../workflows/kinds.ts';
import { startScene, startSharedSystem, type Scene } from '../support/scenes/merge-scene.ts';
import type { System } from '../support/host/system.ts';
import { waitUntil } from '../support/wait-until.ts';
import { snapshotAgain } from './measuring.ts';
import { median, ms, percentile, type Row } from './figures.ts';

export async function hungNeighbour(quick: boolean): Promise<Row[]> {
  const system = await startSharedSystem({ onDisk: true });
  try {
    const vms = Array.from({ length: quick ? 4 : 12 }, (_, i) => `vm${i}`);
    const scenes: Scene[] = [];
    const guest = { slots: 16, writesPerSecond: 30 };
    for (const vm of vms) scenes.push(await startScene({ system, vm, guest }));
    const [sick, ...well] = scenes as [Scene, ...Scene[]];
    const waiting = await system.merge({ vm: sick.guest.name, disk: 'vda', waitForDecision: true });
    const phase = async () => (await waiting.query(statusQuery)).phase;
    await waitUntil('READY', async () => (await phase()) === 'waiting for a decision');
    const rounds = quick ? 2 : 10;
    // The first merge compiles the workflow code.
    await mergeAll(system, well, 1);
    const before = await mergeAll(system, well, rounds);
    const uuid = (await system.host.virsh('domuuid', sick.guest.name)).trim();
    const pid = (await findQemu(uuid)) ?? 0;
    process.kill(pid, 'SIGSTOP');
    const beside = await mergeAll(system, well, rounds);
    process.kill(pid, 'SIGCONT');
    const ratio = percentile(beside, 99) / percentile(before, 99);
    const figures = (values: readonly number[]) =>
      `median ${ms(median(values))}, p99 ${ms(percentile(values, 99))}`;
    return [
      {
        what: `READY to pivot of ${well.length} VMs beside a stopped QEMU, against a running one`,
        measured: `p99 ratio ${ratio.toFixed(2)} (${figures(beside)}; ${figures(before)})`,
        goal: 'at most 1.2',
        met: ratio <= 1.2,
      },
    ];
  } finally {
    await system.close();
  }
}

/** One after the other, so that they wait for nothing but the host. */
async function mergeAll(system: System, scenes: readonly Scene[], rounds: number) {
  const toPivot: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const { guest } of scenes) {
      const { name: vm } = guest;
      const merge = await system.merge({ vm, disk: 'vda' });
      const { readyToPivotMs } = await merge.result();
      if (readyToPivotMs !== null) toPivot.push(readyToPivotMs);
      await snapshotAgain({ system, guest }, 5);
    }
  }
  return toPivot;
}
