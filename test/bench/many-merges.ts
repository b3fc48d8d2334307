/** What many merges of one host at once take of it, with the limit of merges and without. */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { readLimits, writeLimits } from '../../activities/pool-folder/limits.ts';
import { defineManyDisks } from '../support/guest/disks/many-disks.ts';
import { startSharedSystem } from '../support/scenes/merge-scene.ts';
import { HOST, startMerge } from '../support/host/system.ts';
import { peakOf } from './measuring.ts';
import { median, ms, percentile, type Row } from './figures.ts';

export async function manyMerges(quick: boolean): Promise<Row[]> {
  const count = quick ? 20 : 500;
  const limited = await mergedAtOnce(count, null);
  return [...limited, ...(await mergedAtOnce(count, 0))];
}

/** @param limit of merges at once, 0 for none, null for the usual one */
async function mergedAtOnce(count: number, limit: number | null): Promise<Row[]> {
  const system = await startSharedSystem({ onDisk: true });
  try {
    const before = await readLimits(system.stateDir);
    if (limit !== null) await writeLimits(system.stateDir, { ...before, merges: limit });
    const disks = await defineManyDisks(system, count);
    const pid = system.rolePid('host');
    const most = watchMost(pid);
    const beganMs = Date.now();
    const merges = await Promise.all(
      disks.map((disk) => startMerge(system.client, { vm: 'many', disk, host: HOST })),
    );
    const results = await Promise.all(merges.map((merge) => merge.result()));
    const seconds = (Date.now() - beganMs) / 1000;
    const { processes, descriptors, mebibytes } = await most.end();
    const waits = results.flatMap(({ readyToPivotMs }) => readyToPivotMs ?? []);
    const p99 = percentile(waits, 99);
    const how = `${count} merges at once, ${limit === 0 ? 'no limit' : `${before.merges} in turn`}`;
    const row = (what: string, measured: string): Row => ({
      what: `${how}: ${what}`,
      measured,
      goal: '',
      met: null,
    });
    const agent = `${processes}, ${descriptors}, ${mebibytes.toFixed(0)} MiB`;
    return [
      row('time', `${seconds.toFixed(0)} s`),
      row('processes, descriptors, memory of the agent at most', agent),
      row(
        'READY to pivot issued',
        `median ${ms(median(waits))}, p99 ${ms(p99)}, n=${waits.length}`,
      ),
    ];
  } finally {
    await system.close();
  }
}

/** Looks twice a second, until its end, at what the process has, and has started. */
function watchMost(pid: number) {
  let [processes, descriptors] = [0, 0];
  let goesOn = true;
  const looking = (async () => {
    while (goesOn) {
      processes = Math.max(processes, await countBelow(pid));
      descriptors = Math.max(descriptors, (await readdir(`/proc/${pid}/fd`)).length);
      await sleep(500);
    }
  })();
  return {
    async end() {
      goesOn = false;
      await looking;
      return { processes, descriptors, mebibytes: await peakOf(pid) };
    },
  };
}

/** Processes that it has started, and those that they have. */
async function countBelow(pid: number): Promise<number> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
  const children = tasks.map((task) =>
    readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => ''),
  );
  const pids = (await Promise.all(children)).join(' ').split(' ').filter(Boolean).map(Number);
  const below = await Promise.all(pids.map(countBelow));
  return pids.length + below.reduce((sum, one) => sum + one, 0);
}
