/** Runs of the model that are worth a name: shrunk failures, and orders that no test would try. */
import { expect, it } from '@jest/globals';
import { startBench } from '../support/workflow-bench.ts';
import type { Action } from './merge-actions.ts';
import { play } from './engine.ts';
import { mergeModel, type Setting } from './merge-model.ts';
import { use } from '../support/use.ts';

const bench = use('the bench', startBench);

const steps = (count: number): Action => ({ disk: 0, do: 'steps', count });
/**
 * Plan, start, wait, and time that passes twice until READY: the pivot is the sixth.
 */
const found: { title: string; actions: Action[]; setting?: Partial<Setting>; ends: string[] }[] = [
  {
    // It was attached to, pivoted, and ended on cancel.
    title: 'a foreign job that begins after the plan is left alone',
    actions: [steps(1), { disk: 0, do: 'foreign job' }, steps(4)],
    ends: ['foreign-job', 'merged'],
  },
  {
    title: 'QEMU dies between its own pivot and the persistent XML: the VM starts on top',
    actions: [
      steps(3),
      { disk: 0, do: 'write', block: 3 },
      { disk: 0, do: 'flush' },
      steps(2),
      { disk: 0, do: 'step', fate: 'qemu', which: 0 },
    ],
    ends: ['vm-stopped', 'merged'],
  },
  {
    title: 'agent and pivot script die with the guest suspended, and the run is terminated',
    actions: [
      steps(5),
      { disk: 0, do: 'step', fate: 'agent', which: 0 },
      { disk: 0, do: 'terminate' },
    ],
    ends: ['terminated', 'merged'],
  },
  {
    title: 'a cancel that the pivot refuses stays refused when the agent dies before the pivot',
    actions: [
      steps(5),
      { disk: 0, do: 'cancel' },
      { disk: 0, do: 'step', fate: 'before', which: 0 },
    ],
    ends: ['merged'],
  },
  {
    title: 'QEMU refuses the pivot, and a job is lost: the merge is made by the next ones',
    actions: [
      { disk: 0, do: 'refuse pivot' },
      { disk: 0, do: 'lose job' },
    ],
    ends: ['merged'],
  },
  {
    title: 'a run terminated between the deletion and the end of its record is finished',
    actions: [steps(9), { disk: 0, do: 'terminate' }],
    ends: ['terminated', 'merged'],
  },
  {
    title: 'the VM runs between cold commit and switch, and writes',
    setting: { isOff: true },
    actions: [
      steps(3),
      { disk: 0, do: 'start VM' },
      { disk: 0, do: 'write', block: 2 },
      { disk: 0, do: 'flush' },
      { disk: 0, do: 'shut down' },
    ],
    ends: ['merged'],
  },
];

it.each(found)('$title', async ({ actions, setting, ends }) => {
  const { disks } = await play(mergeModel, bench, actions, setting);
  expect(disks[0].ends).toEqual(ends);
});
