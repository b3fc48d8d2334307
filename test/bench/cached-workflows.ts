/** What a workflow costs the orchestrator's memory while it is cached: its own copy of our code. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parseWorkflowCode } from '@temporalio/worker/lib/worker.js';
import { ReusableVMWorkflowCreator } from '@temporalio/worker/lib/workflow/reusable-vm.js';
import { workflowSource } from '../../worker/bundle.ts';
import { kindNames } from '../../workflows/kinds.ts';
import { BUNDLES } from '../support/host/host-folder.ts';
import type { Row } from './figures.ts';

const WORKFLOWS = 300;
const GOAL_KIB = 200;

/** As a worker makes them, by the SDK's own creator, with every room of our code loaded. */
async function createCached(): Promise<(id: number) => Promise<unknown>> {
  const { workflowBundle } = await workflowSource(BUNDLES);
  const { code } = workflowBundle as { code: string };
  const creator = await ReusableVMWorkflowCreator.create(parseWorkflowCode(code), 5000, new Set());
  return (id) =>
    creator.createWorkflow({
      info: {
        workflowId: `web${id}/vda`,
        runId: `run-${id}`,
        workflowType: kindNames[id % kindNames.length],
        unsafe: {},
      },
      randomnessSeed: [1, 2, 3],
      now: Date.now(),
      showStackTraceSources: false,
    } as never);
}

function usedKib(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed / 1024;
}

export async function cachedWorkflows(): Promise<Row[]> {
  const create = await createCached();
  const kept = [await create(0)];
  const before = usedKib();
  for (let id = 1; id <= WORKFLOWS; id++) kept.push(await create(id));
  const each = (usedKib() - before) / WORKFLOWS;
  return [
    {
      what: 'memory per cached workflow',
      measured: `${each.toFixed(0)} KiB, n=${kept.length - 1}`,
      goal: `at most ${GOAL_KIB} KiB`,
      met: each <= GOAL_KIB,
    },
  ];
}
