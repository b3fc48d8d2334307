/** Runs of the model that are worth a name: shrunk failures, and orders that no test would try. */
import { expect, it } from '@jest/globals';
import { startBench } from '../../support/workflow-bench.ts';
import { use } from '../../support/use.ts';
import { play } from '../engine.ts';
import type { Action } from './snapshot-actions.ts';
import { snapshotModel, type Setting } from './snapshot-model.ts';
import type { Role, Wish } from './snapshot-operation.ts';

const bench = use('the bench', startBench);

const ask = (wish: Wish): Action => ({ do: 'ask', wish });
const steps = (role: Role, count: number): Action => ({ do: 'steps', role, count });
const DELETE = { what: 'delete', name: 's1', scope: 'snapshot', atOnce: 2 } as const;

/** What was asked for before the healing begins. */
const found: { title: string; actions: Action[]; setting?: Partial<Setting>; ends: string[] }[] = [
  {
    // It was "already done", with the layer and the record of the job left.
    title: 'a deletion whose last merge was ended after its record had gone goes on with that',
    setting: { isOff: true },
    actions: [
      ask(DELETE),
      steps('vm', 3),
      steps('vda', 9),
      steps('vdb', 6),
      { do: 'terminate', role: 'vdb' },
      ask(DELETE),
    ],
    ends: ['delete partly-deleted', 'delete deleted'],
  },
];

it.each(found)('$title', async ({ actions, setting, ends }) => {
  const world = await play(snapshotModel, bench, actions, setting);
  expect(world.endings).toEqual(expect.arrayContaining(ends));
});
