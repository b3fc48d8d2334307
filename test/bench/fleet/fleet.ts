/** How many operations one orchestrator carries, and what each costs, from ten to a thousand. */
import type { WorkflowHandle } from '@temporalio/client';
import { operationId } from '../../../workflows/chain/references.ts';
import { liveMergeInput } from '../../../workflows/merge/request.ts';
import { ORCHESTRATOR_QUEUE } from '../../../workflows/operation/contract.ts';
import { cpuSeconds } from '../cpu-seconds.ts';
import { peakOf, timed } from '../measuring.ts';
import { median, ms, type Point, type Row } from '../figures.ts';
import { commandLine } from '../../support/host/roles/command-line.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { statusQuery } from '../../../workflows/kinds.ts';
import { eventsOf, runBare, shapeOf } from '../bare/bare.ts';
import type { Shape } from '../bare/bare-workflow.ts';
import { startFleet, type Fleet, type FleetVm } from './simulated-fleet.ts';

const RESTARTS = 20;

export async function fleet(quick: boolean): Promise<Row[]> {
  const most = quick ? 100 : 1000;
  const sizes = [10, 100, 1000].filter((size) => size <= most);
  const started = await startFleet();
  try {
    // The first operations compile the workflows.
    const [first] = (await mergeAll(started, 50)).handles;
    const shape = await shapeOf(first as WorkflowHandle);
    await runBares(started, shape, 50);
    const rounds: Round[] = [];
    for (const size of sizes) rounds.push(await measure(started, shape, size));
    const retries = await toRetries(await mergeAll(started, most));
    const memory = await toMemory(started);
    const listed = await listAll(started, most);
    const disturbed = await mergeWithRestarts(started, most);
    return [...toRows(rounds), retries, memory, ...listed, disturbed];
  } finally {
    await started.close();
  }
}

interface Ended {
  vms: FleetVm[];
  handles: WorkflowHandle[];
  seconds: number;
}

interface Round {
  size: number;
  merges: number;
  perSecond: number;
  barePerSecond: number;
  /** Of the orchestrator, for each merge. */
  cpuMs: number;
}

/** Small sizes several times, so that the clock of processes can tell. */
async function measure(started: Fleet, shape: Shape, size: number): Promise<Round> {
  const repeats = Math.max(1, Math.round(100 / size));
  let [seconds, bareSeconds, cpu] = [0, 0, 0];
  for (let i = 0; i < repeats; i++) {
    const before = await cpuSeconds(started.roles.rolePid('orchestrator'));
    seconds += (await mergeAll(started, size)).seconds;
    cpu += (await cpuSeconds(started.roles.rolePid('orchestrator'))) - before;
    bareSeconds += await runBares(started, shape, size);
  }
  const merges = size * repeats;
  return {
    size,
    merges,
    perSecond: merges / seconds,
    barePerSecond: merges / bareSeconds,
    cpuMs: (cpu * 1000) / merges,
  };
}

async function startAll(
  { client }: Fleet,
  vms: readonly FleetVm[],
  options: { waitForDecision?: boolean } = {},
): Promise<WorkflowHandle[]> {
  const start = ({ vm, host }: FleetVm) => {
    const input = liveMergeInput.parse({ vm: vm.name, disk: vm.disk, host, ...options });
    const workflowId = operationId(input);
    const taskQueue = ORCHESTRATOR_QUEUE;
    const args = [input] as [unknown];
    const started = client.workflow.start('LiveMerge', { workflowId, taskQueue, args });
    return started as Promise<WorkflowHandle>;
  };
  return Promise.all(vms.map(start));
}

async function mergeAll(started: Fleet, size: number): Promise<Ended> {
  const vms = started.renewVms(size);
  const begin = performance.now();
  const handles = await startAll(started, vms);
  await Promise.all(handles.map((handle) => handle.result()));
  return { vms, handles, seconds: (performance.now() - begin) / 1000 };
}

async function runBares({ client }: Fleet, shape: Shape, size: number): Promise<number> {
  const all = () => Promise.all(Array.from({ length: size }, () => runBare(client, shape)));
  return (await timed(all)) / 1000;
}

/** Answers of the command line while all of them run, and wait at READY. */
async function listAll(started: Fleet, size: number): Promise<Row[]> {
  const vms = started.renewVms(size);
  const handles = await startAll(started, vms, { waitForDecision: true });
  for (const handle of handles) {
    const isReady = async () =>
      (await handle.query(statusQuery)).phase === 'waiting for a decision';
    await waitUntil(`${handle.workflowId} to wait`, isReady, { timeoutMs: 600_000 });
  }
  const type = commandLine({ TEMPORAL_ADDRESS: started.address, BLOCKFLOW_HOST: 'fleet-0' });
  const rows: Row[] = [];
  for (const args of [['list'], ['status', `${vms[0]?.vm.name}`, 'vda']]) {
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      const begin = performance.now();
      const { exitCode, told } = await type(...args);
      if (exitCode !== 0) throw new Error(`blockflow ${args.join(' ')}: ${told}`);
      times.push(performance.now() - begin);
    }
    rows.push({
      what: `blockflow ${args[0]} beside ${size} running operations`,
      measured: `median ${ms(median(times))}, n=${times.length}`,
      goal: 'at most 1000 ms',
      met: median(times) <= 1000,
    });
  }
  await Promise.all(handles.map((handle) => handle.terminate()));
  return rows;
}

/** SIGKILL to the orchestrator again and again, evenly over the merges. */
async function mergeWithRestarts(started: Fleet, size: number): Promise<Row> {
  const { roles } = started;
  const vms = started.renewVms(size);
  const handles = await startAll(started, vms);
  let ended = 0;
  let wake: () => void = () => undefined;
  const results = handles.map((handle) =>
    handle.result().then(() => {
      ended++;
      wake();
    }),
  );
  const all = Promise.all(results);
  for (let i = 1; i <= RESTARTS; i++) {
    const wanted = Math.floor((i * size) / (RESTARTS + 1));
    while (ended < wanted) await Promise.race([all, new Promise<void>((next) => (wake = next))]);
    await roles.killRole('orchestrator');
    await roles.startRole('orchestrator');
  }
  await all;
  const isOnce = ({ vm: { effects } }: FleetVm) =>
    ['start', 'pivot', 'delete'].every(
      (effect) => effects.filter((passed) => passed === effect).length === 1,
    );
  const once = vms.filter(isOnce).length;
  return {
    what: `${size} merges at once, the orchestrator killed ${RESTARTS} times meanwhile`,
    measured: `${ended} ended, ${once} of them started, pivoted and deleted once`,
    goal: 'all, none twice',
    met: ended === size && once === size,
  };
}

async function toRetries({ handles }: Ended): Promise<Row> {
  const retried = { activities: 0, 'failed workflow tasks': 0, 'workflow tasks timed out': 0 };
  for (const handle of handles) {
    for (const event of await eventsOf(handle)) {
      if ((event.activityTaskStartedEventAttributes?.attempt ?? 1) > 1) retried.activities++;
      if (event.workflowTaskFailedEventAttributes) retried['failed workflow tasks']++;
      if (event.workflowTaskTimedOutEventAttributes) retried['workflow tasks timed out']++;
    }
  }
  const counts = Object.entries(retried);
  return {
    what: `${handles.length} merges at once: tasks tried again`,
    measured: counts.map(([what, count]) => `${what} ${count}`).join(', '),
    goal: 'none',
    met: counts.every(([, count]) => count === 0),
  };
}

async function toMemory({ roles }: Fleet): Promise<Row> {
  const mebibytes = await peakOf(roles.rolePid('orchestrator'));
  return {
    what: 'memory of the orchestrator at most',
    measured: `${mebibytes.toFixed(0)} MiB`,
    goal: 'below 512 MiB',
    met: mebibytes < 512,
  };
}

function toRows(rounds: readonly Round[]): Row[] {
  const [least] = rounds;
  return rounds.map(({ size, merges, perSecond, barePerSecond, cpuMs }) => {
    const ratio = perSecond / barePerSecond;
    const growth = cpuMs / (least?.cpuMs ?? NaN);
    const point = (line: string, y: number): Point => ({
      picture: 'fleet-by-operations',
      line,
      x: size,
      y: Number(y.toFixed(1)),
    });
    return {
      what: `${size} merges at once on 100 hosts`,
      measured:
        `${perSecond.toFixed(1)}/s, bare workflows ${barePerSecond.toFixed(1)}/s, ratio ` +
        `${ratio.toFixed(2)}; ${cpuMs.toFixed(0)} ms of the orchestrator each, ` +
        `${growth.toFixed(2)} of the first row's, n=${merges}`,
      goal: 'ratio at least 0.8, cost at most 1.2 of that of 10',
      met: ratio >= 0.8 && growth <= 1.2,
      points: [point('merges', perSecond), point('bare workflows', barePerSecond)],
    };
  });
}
