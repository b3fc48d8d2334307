/**
 * What merges on a cluster of two servers cost each process: the sizing of docs/guide/cluster.md.
 * Processor time is that of the process and of all that it has started.
 */
import { statusQuery } from '../../workflows/kinds.ts';
import { startCluster, type Cluster } from '../support/cluster/cluster.ts';
import { defineManyDisks } from '../support/guest/disks/many-disks.ts';
import { HOST, startMerge, type System } from '../support/host/system.ts';
import { startSharedSystem } from '../support/scenes/merge-scene.ts';
import { waitUntil } from '../support/wait-until.ts';
import { cpuSeconds } from './cpu-seconds.ts';
import { peakOf } from './measuring.ts';
import { median, ms, type Row } from './figures.ts';

const ROLES = ['orchestrator', 'host', 'spm'] as const;

/** One merge after the other, so that no queue is measured; then as many at once. */
export async function clusterMerges(quick: boolean): Promise<Row[]> {
  const count = quick ? 10 : 50;
  let cluster: Cluster | undefined;
  const startTemporal = async (stateDir: string) => (cluster = await startCluster(stateDir));
  const system = await startSharedSystem({ startTemporal, onDisk: true });
  try {
    const disks = await defineManyDisks(system, 2 * count + 1);
    const merge = async (disk: string) => {
      const started = await startMerge(system.client, { vm: 'many', disk, host: HOST });
      await started.result();
    };
    const pids = () => ({
      ...Object.fromEntries(ROLES.map((role) => [role, system.rolePid(role)])),
      ...cluster?.pids(),
    });
    const oneByOne = await measure(pids, async () => {
      for (const disk of disks.slice(0, count)) await merge(disk);
    });
    const atOnce = await measure(pids, async () => {
      await Promise.all(disks.slice(count, 2 * count).map(merge));
    });
    return [
      rowOf(`${count} merges one by one, on a cluster`, oneByOne, count),
      rowOf(`${count} merges at once, on a cluster`, atOnce, count),
      await standstill(system, cluster, disks[2 * count] ?? '', quick ? 2 : 10),
    ];
  } finally {
    await system.close();
  }
}

/** From the SIGKILL of a server until the other one answers for an operation that waits. */
async function standstill(
  { client }: System,
  cluster: Cluster | undefined,
  disk: string,
  repeats: number,
): Promise<Row> {
  const waiting = { vm: 'many', disk, host: HOST, waitForDecision: true };
  const merge = await startMerge(client, waiting);
  const answers = () =>
    merge.query(statusQuery).then(
      () => true,
      () => false,
    );
  await waitUntil('the operation to wait', async () => {
    const { phase } = await merge.query(statusQuery);
    return phase === 'waiting for a decision';
  });
  const tookMs: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const server = cluster?.servers[i % 2];
    const start = performance.now();
    await server?.kill();
    await waitUntil('the operation to answer', answers);
    tookMs.push(performance.now() - start);
    await server?.start();
    await waitUntil('the operation to answer', answers);
  }
  await merge.executeUpdate('decide', { args: ['pivot'] });
  await merge.result();
  const times = `median ${ms(median(tookMs))}, longest ${ms(Math.max(...tookMs))}, n=${repeats}`;
  return {
    what: 'one of two servers is killed, until `status` answers',
    measured: times,
    goal: '-',
    met: null,
  };
}

interface Cost {
  seconds: number;
  /** Of each process. */
  cpuSeconds: Record<string, number>;
  peakMebibytes: Record<string, number>;
}

async function measure(
  pids: () => Record<string, number>,
  work: () => Promise<void>,
): Promise<Cost> {
  const before = await each(pids(), cpuSeconds);
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  const after = await each(pids(), cpuSeconds);
  const used = Object.entries(after).map(([name, end]): [string, number] => [
    name,
    end - (before[name] ?? 0),
  ]);
  const peakMebibytes = await each(pids(), peakOf);
  return { seconds, cpuSeconds: Object.fromEntries(used), peakMebibytes };
}

async function each(
  pids: Record<string, number>,
  look: (pid: number) => Promise<number>,
): Promise<Record<string, number>> {
  const entries = Object.entries(pids).map(async ([name, pid]) => [name, await look(pid)]);
  return Object.fromEntries(await Promise.all(entries)) as Record<string, number>;
}

function rowOf(what: string, { seconds, cpuSeconds: cpu, peakMebibytes }: Cost, count: number) {
  const costs = Object.entries(cpu).map(([name, used]) => {
    const perMerge = `${name} ${Math.round((used * 1000) / count)} ms`;
    // Whose memory is in its children.
    if (name === 'PostgreSQL') return perMerge;
    return `${perMerge} (${Math.round(peakMebibytes[name] ?? 0)} MiB)`;
  });
  const measured = `${seconds.toFixed(1)} s; processor time a merge: ${costs.join(', ')}`;
  return { what, measured, goal: '-', met: null };
}
