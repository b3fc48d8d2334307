/** Runs of the model of images that are worth a name: shrunk failures, and telling orders. */
import { expect, it } from '@jest/globals';
import { startBench } from '../support/workflow-bench.ts';
import { play } from './engine.ts';
import type { Action } from './images/image-actions.ts';
import { imageModel } from './images/image-model.ts';
import type { Role } from './images/image-operation.ts';
import { use } from '../support/use.ts';

const bench = use('the bench', startBench);

const steps = (count: number, role: Role = 'disk'): Action => ({ do: 'steps', role, count });
const move = (to: 'images' | 'vault'): Action => ({ do: 'ask', wish: { what: 'move', to } });
const cancel: Action = { do: 'cancel', role: 'disk' };
const terminate: Action = { do: 'terminate', role: 'disk' };
/** Plan, reserve, hold, twice two for a copy, twice verify, rebase, name: the switch is next. */
const NAMED = 11;
/** The healing ends with a move to the other pool, a merge, and a move while the VM runs. */
const HEALED = ['moved', 'removed', 'merged', 'moved', 'removed'];

interface Found {
  title: string;
  actions: Action[];
  ends: string[];
  /** How many volumes are copied before the first switch. */
  copies?: number;
}
const found: Found[] = [
  {
    title: 'a copy is not removed by hand between its name and the switch to it',
    actions: [
      steps(NAMED),
      { do: 'ask', wish: { what: 'rm', from: 'vault', layer: 1 } },
      steps(3, 'rm'),
      steps(1),
    ],
    ends: ['moved', 'other-operation', 'removed', ...HEALED],
  },
  {
    title: 'the VM runs between copy and switch, after the copying daemon died: planned again',
    actions: [
      steps(NAMED),
      { do: 'kill copier' },
      { do: 'start VM' },
      { do: 'write', block: 2 },
      { do: 'flush' },
      { do: 'shut down' },
      steps(1),
    ],
    ends: ['moved', 'removed', ...HEALED],
  },
  {
    title: 'a move that was cancelled before its switch leaves the source, and nothing else',
    actions: [steps(NAMED - 1), cancel, steps(4), steps(2, 'undo')],
    ends: ['cancelled', 'removed', ...HEALED],
  },
  {
    // The merge changed the chain, and its source was never deleted.
    title: 'a move that was terminated after its switch is completed before anything else',
    actions: [steps(NAMED + 1), terminate, { do: 'ask', wish: { what: 'merge' } }],
    ends: ['terminated', 'other-operation', 'moved', 'removed', ...HEALED],
  },
  {
    title: 'a repeated move that reserves before the undo goes on with the copies',
    actions: [
      steps(NAMED - 1),
      cancel,
      steps(4),
      move('vault'),
      steps(2),
      steps(2, 'undo'),
      steps(NAMED),
    ],
    ends: ['cancelled', 'kept', 'moved', 'removed', ...HEALED],
  },
  {
    title: 'a repeated move that reserves after the undo began copies again',
    actions: [
      steps(NAMED - 1),
      cancel,
      steps(4),
      move('vault'),
      steps(1),
      steps(1, 'undo'),
      { do: 'step', role: 'undo', fate: 'agent late', which: 0 },
      steps(3),
      steps(2, 'undo'),
    ],
    ends: ['cancelled', 'removed', 'moved', 'removed', ...HEALED],
  },
  {
    title: 'an undo waits for a pool that is unavailable, and then removes the copies',
    actions: [
      steps(NAMED - 4),
      { do: 'pool away', pool: 'vault' },
      cancel,
      steps(2),
      steps(3, 'undo'),
      { do: 'pool back' },
      steps(3, 'undo'),
    ],
    ends: ['cancelled', 'removed', ...HEALED],
  },
  {
    title: 'a cancel after the switch is refused, and the move is completed',
    actions: [steps(NAMED + 1), cancel, steps(3)],
    ends: ['moved', 'removed', ...HEALED],
  },
  {
    title: 'a move terminated after its switch is finished by the next one',
    actions: [
      steps(NAMED),
      { do: 'step', role: 'disk', fate: 'agent', which: 0 },
      terminate,
      move('vault'),
      steps(5),
    ],
    ends: ['terminated', 'moved', 'removed', ...HEALED],
  },
  {
    title: 'what a cancelled move reserved, then a terminated copy, is adopted by the next move',
    actions: [
      steps(1),
      cancel,
      steps(5),
      { do: 'ask', wish: { what: 'copy', to: 'vault' } },
      steps(5),
      terminate,
      move('vault'),
      steps(NAMED),
      steps(2, 'undo'),
    ],
    ends: ['cancelled', 'kept', 'terminated', 'moved', 'removed', ...HEALED],
  },
  {
    title: 'what was copied of a source that was written since is not adopted',
    actions: [
      steps(NAMED),
      terminate,
      { do: 'kill copier' },
      { do: 'start VM' },
      { do: 'write', block: 2 },
      { do: 'flush' },
      { do: 'shut down' },
      move('vault'),
      steps(3),
    ],
    ends: ['terminated', 'moved', 'removed', ...HEALED],
  },
  {
    title: 'a source that was cloned meanwhile is kept until the clone is gone',
    actions: [
      steps(NAMED),
      { do: 'clone', pool: 'images' },
      steps(3),
      steps(3, 'removal'),
      { do: 'drop clone' },
      steps(3, 'removal'),
    ],
    ends: ['moved', 'removed', ...HEALED],
  },
  {
    title: 'a copy of the base during a cold merge is refused, and the merge goes on',
    actions: [
      cancel,
      steps(3),
      { do: 'ask', wish: { what: 'merge' } },
      steps(2),
      { do: 'ask', wish: { what: 'copy base', from: 'images', to: 'vault' } },
      steps(5, 'base'),
      steps(9),
    ],
    ends: [
      ...['cancelled', 'removed', 'merged', 'volume-in-use', 'removed'],
      ...['moved', 'removed', 'already-done', 'moved', 'removed'],
    ],
  },
  {
    title: 'the target pool becomes unavailable and comes back between copy and verification',
    actions: [
      steps(NAMED - 4),
      { do: 'pool away', pool: 'vault' },
      steps(2),
      { do: 'pool back' },
      steps(4),
    ],
    ends: ['moved', 'removed', ...HEALED],
  },
  {
    title: 'the target pool becomes unavailable before the switch, which waits for it',
    actions: [
      steps(NAMED),
      { do: 'pool away', pool: 'vault' },
      steps(2),
      { do: 'pool back' },
      steps(4),
    ],
    ends: ['moved', 'removed', ...HEALED],
    copies: 2,
  },
  {
    title: 'the target pool becomes unavailable before the switch, and the move is cancelled',
    actions: [
      steps(NAMED),
      { do: 'pool away', pool: 'vault' },
      steps(2),
      cancel,
      steps(2),
      { do: 'pool back' },
      steps(4, 'undo'),
    ],
    ends: ['cancelled', 'removed', ...HEALED],
  },
];

it.each(found)('$title', async ({ actions, ends, copies }) => {
  const world = await play(imageModel, bench, actions);
  expect(world.ends).toEqual(ends);
  if (copies === undefined) return;
  const { effects } = world.vm;
  const before = effects.slice(0, effects.indexOf('switch'));
  expect(before.filter((effect) => effect === 'copy')).toHaveLength(copies);
});
