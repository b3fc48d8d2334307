/** Bare workflows: as many activities as an operation has, on the same server, that do nothing. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { execa } from 'execa';
import type { Shape } from './bare-workflow.ts';

const BARE_QUEUE = 'bare';

export interface BareProcess {
  stop(): Promise<void>;
}

/** Serves bare workflows, in a process of its own. */
export const startBareOrchestrator = (address: string) => startProcess(address, [BARE_QUEUE]);

/** Serves the activities of these task queues in one. */
export const startBareAgent = (address: string, taskQueues: readonly string[]) =>
  startProcess(address, taskQueues);

async function startProcess(address: string, taskQueues: readonly string[]): Promise<BareProcess> {
  const script = fileURLToPath(new URL('bare-process.ts', import.meta.url));
  const args = ['--disable-warning=ExperimentalWarning', script, address, ...taskQueues];
  const child = execa(process.execPath, args, { stderr: 'inherit', buffer: false, reject: false });
  await once(child.stdout, 'data');
  return {
    async stop() {
      child.kill('SIGKILL');
      await child;
    },
  };
}

let count = 0;
export async function runBare(client: Client, shape: Shape): Promise<void> {
  const workflowId = `bare-${++count}`;
  const options = { workflowId, taskQueue: BARE_QUEUE, args: [shape] as [unknown] };
  await (await client.workflow.start('bareOperation', options)).result();
}

export const eventsOf = async (handle: WorkflowHandle) =>
  (await handle.fetchHistory()).events ?? [];

/** The activities that an operation has asked for, those of one workflow task together. */
export async function shapeOf(handle: WorkflowHandle): Promise<Shape> {
  const steps = new Map<string, string[]>();
  for (const { activityTaskScheduledEventAttributes: asked } of await eventsOf(handle)) {
    if (!asked) continue;
    const task = String(asked.workflowTaskCompletedEventId);
    steps.set(task, [...(steps.get(task) ?? []), asked.taskQueue?.name ?? '']);
  }
  return [...steps.values()];
}
