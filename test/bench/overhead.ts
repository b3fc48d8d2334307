/**
 * What a small merge takes besides QEMU: against one event-driven session of virsh, and a bare
 * workflow with as many activities on the same server.
 */
import { createInterface } from 'node:readline';
import { rm } from 'node:fs/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { execa } from 'execa';
import { startScene, type Scene } from '../support/scenes/merge-scene.ts';
import { runBare, shapeOf, startBareAgent, startBareOrchestrator } from './bare/bare.ts';
import type { Shape } from './bare/bare-workflow.ts';
import { snapshotAgain, timed } from './measuring.ts';
import { median, ms, percentile, type Row } from './figures.ts';

const GOAL = 1.3;

export async function overhead(quick: boolean): Promise<Row[]> {
  const scene = await startScene({ onDisk: true });
  const { client, temporal } = scene.system;
  const orchestrator = await startBareOrchestrator(temporal.address);
  // The first merges compile the workflow code.
  let shape = await shapeOf((await merge(scene)).operation);
  shape = shape.map((queues) => queues.map((queue) => `bare-${queue}`));
  const agent = await startBareAgent(temporal.address, [...new Set(shape.flat())]);
  const session = startSession(scene);
  try {
    await runBare(client, shape);
    const rounds: Round[] = [];
    for (let i = 0; i < (quick ? 3 : 25); i++) {
      await snapshotAgain(scene, 5);
      const ours = (await merge(scene)).ms;
      const file = await snapshotAgain(scene, 5);
      const virsh = await timed(() => session.merge(file));
      rounds.push({ ours, virsh, bare: await timed(() => runBare(client, shape)) });
    }
    return [toRow(shape, rounds)];
  } finally {
    await Promise.all([session.stop(), agent.stop(), orchestrator.stop()]);
    await scene.close();
  }
}

interface Round {
  ours: number;
  virsh: number;
  bare: number;
}

async function merge({ system, guest }: Scene) {
  const begin = performance.now();
  const operation = await system.merge({ vm: guest.name, disk: 'vda' });
  await operation.result();
  return { operation: operation as WorkflowHandle, ms: performance.now() - begin };
}

/** One session for commands and one for events, both open before anything is measured. */
function startSession({ system: { host }, guest: { name } }: Scene) {
  const virsh = (...args: string[]) =>
    execa('virsh', ['-c', host.uri, ...args], { buffer: false, reject: false });
  const commands = virsh('-q');
  const events = virsh('event', '--domain', name, '--event', 'block-job-2', '--loop');
  let next: (line: string) => void = () => undefined;
  createInterface({ input: events.stdout }).on('line', (line) => next(line));
  const until = (words: string) =>
    new Promise<void>((resolve) => (next = (line) => line.includes(words) && resolve()));
  const type = (line: string) => commands.stdin.write(`${line}\n`);
  return {
    async merge(top: string) {
      const ready = until('ready');
      type(`blockcommit ${name} vda --active`);
      await ready;
      const completed = until('completed');
      type(`blockjob ${name} vda --pivot`);
      await completed;
      await rm(top);
    },
    async stop() {
      for (const session of [commands, events]) session.kill();
      await Promise.all([commands, events]);
    },
  };
}

function toRow(shape: Shape, rounds: readonly Round[]): Row {
  const figures = (values: readonly number[]) =>
    `${ms(median(values))} (p99 ${ms(percentile(values, 99))})`;
  const ratio = median(rounds.map(({ ours, virsh, bare }) => ours / (virsh + bare)));
  return {
    what: 'merge of some KiB against one virsh session and a bare workflow',
    measured:
      `blockflow ${figures(rounds.map(({ ours }) => ours))}, virsh ` +
      `${figures(rounds.map(({ virsh }) => virsh))}, bare workflow of ${shape.flat().length} ` +
      `activities ${figures(rounds.map(({ bare }) => bare))}, ratio ${ratio.toFixed(2)}, ` +
      `n=${rounds.length}`,
    goal: `ratio at most ${GOAL}`,
    met: ratio <= GOAL,
  };
}
