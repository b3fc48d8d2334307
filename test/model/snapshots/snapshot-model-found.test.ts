/** Runs of the model that are worth a name: shrunk failures, and orders that no test would try. */
import { expect, it } from '@jest/globals';
import { startBench } from '../../support/workflow-bench.ts';
import { use } from '../../support/use.ts';
import { play } from '../engine.ts';
import type { Action } from './snapshot-actions.ts';
import { snapshotModel, type Setting } from './snapshot-model.ts';
import { LONG_SECONDS, type Role, type Wish } from './snapshot-operation.ts';

const bench = use('the bench', startBench);

const ask = (wish: Wish): Action => ({ do: 'ask', wish });
const steps = (role: Role, count: number): Action => ({ do: 'steps', role, count });
const REVERT = { what: 'revert', name: 's1', keepSeconds: LONG_SECONDS, start: false } as const;
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
  {
    title: 'libvirtd and the script die in the transaction, and the run is terminated',
    actions: [
      ask({ what: 'create', name: 's2' }),
      steps('vm', 3),
      { do: 'step', role: 'vm', fate: 'libvirtd', which: 0 },
      { do: 'terminate', role: 'vm' },
    ],
    ends: ['create terminated', 'create created'],
  },
  {
    // It was a Hold that nothing ended: the overlay of the pool that had forgotten the job was a
    // stranger.
    title: 'a snapshot that one of two pools has forgotten is completed by the next request',
    actions: [ask({ what: 'create', name: 's2' }), steps('vm', 6), { do: 'terminate', role: 'vm' }],
    ends: ['create terminated', 'create created'],
  },
  {
    title: 'a snapshot that was taken when its run was terminated is completed by the next one',
    actions: [
      ask({ what: 'create', name: 's2' }),
      steps('vm', 4),
      { do: 'terminate', role: 'vm' },
      { do: 'write', disk: 'vdb', block: 1 },
      { do: 'flush', disk: 'vdb' },
      ask({ what: 'create', name: 's3' }),
      steps('vm', 8),
      { do: 'kill QEMU', unflushedSurvives: false },
    ],
    ends: ['create terminated', 'create created'],
  },
  {
    // It ended as `divergent-chain`, and so did every later one.
    title: 'a snapshot goes on from the layers of a person who was first',
    actions: [
      ask({ what: 'create', name: 's2' }),
      steps('vm', 3),
      { do: 'snapshot by virsh', name: 's3' },
      steps('vm', 20),
    ],
    ends: ['create created'],
  },
  {
    title: 'what a terminated run has reserved is deleted after the snapshot of a person',
    actions: [
      ask({ what: 'create', name: 's2' }),
      steps('vm', 3),
      { do: 'terminate', role: 'vm' },
      { do: 'snapshot by virsh', name: 's3' },
      { do: 'shut down' },
      ask({ what: 'create', name: 's2' }),
      steps('vm', 20),
    ],
    ends: ['create terminated', 'create created'],
  },
  {
    // The layer of one disk was gone then, and every later snapshot ended as `divergent-chain`.
    title: 'a disk whose snapshot is taken but unfinished is not merged before that is complete',
    actions: [
      ask({ what: 'create', name: 's2' }),
      steps('vm', 4),
      { do: 'terminate', role: 'vm' },
      ask({ what: 'merge', disk: 'vda', snapshot: null }),
      steps('vda', 12),
      ask({ what: 'create', name: 's3' }),
      steps('vm', 20),
    ],
    ends: ['create terminated', 'merge other-operation', 'create created'],
  },
  {
    // The other disk went back alone, and the VM was told to be at the snapshot.
    title: 'a snapshot that a disk was merged out of is not gone back to',
    setting: { isOff: true },
    actions: [
      ask({ what: 'merge', disk: 'vda', snapshot: null }),
      steps('vda', 12),
      ask(REVERT),
      steps('vm', 12),
    ],
    ends: ['merge merged', 'revert disks-changed'],
  },
  {
    // It was told as the job of a stranger.
    title: 'a deletion beside a merge of one of its disks is refused, and says by what',
    setting: { taken: ['s1', 's2'] },
    actions: [
      ask({ what: 'merge', disk: 'vda', snapshot: null }),
      steps('vda', 2),
      ask(DELETE),
      steps('vm', 9),
    ],
    ends: ['delete other-operation', 'merge merged'],
  },
  {
    title: 'a revert that has switched when its run is terminated is completed, not made again',
    setting: { isOff: true },
    actions: [ask(REVERT), steps('vm', 4), { do: 'terminate', role: 'vm' }, ask(REVERT)],
    ends: ['revert terminated', 'revert reverted'],
  },
  {
    title: 'QEMU and then the agent die in the transaction of one inside of the images',
    setting: { isOff: true },
    actions: [
      ask({ what: 'create inside', name: 'i1' }),
      steps('vm', 1),
      { do: 'step', role: 'vm', fate: 'qemu', which: 0 },
      { do: 'terminate', role: 'vm' },
      ask({ what: 'create inside', name: 'i1' }),
      steps('vm', 1),
      { do: 'step', role: 'vm', fate: 'agent late', which: 0 },
      steps('vm', 9),
      ask({ what: 'delete inside', name: 'i1', disk: 'vdb' }),
      steps('vm', 1),
      { do: 'step', role: 'vm', fate: 'agent late', which: 0 },
      steps('vm', 9),
      ask({ what: 'delete inside', name: 'i1', disk: null }),
      steps('vm', 9),
    ],
    ends: ['create inside terminated', 'create inside created', 'delete inside deleted'],
  },
  {
    title: 'an undo that is cancelled before its switch leaves the revert as it was',
    setting: { isOff: true },
    actions: [
      ask(REVERT),
      steps('vm', 8),
      ask({ what: 'undo', keepSeconds: LONG_SECONDS }),
      steps('vm', 2),
      { do: 'cancel', role: 'vm' },
      steps('vm', 4),
    ],
    ends: ['revert reverted', 'undo cancelled'],
  },
  {
    title: 'what an undo leaves does not expire while the undo is unfinished',
    setting: { isOff: true },
    actions: [
      ask(REVERT),
      steps('vm', 8),
      ask({ what: 'undo', keepSeconds: 1 }),
      steps('vm', 5),
      { do: 'terminate', role: 'vm' },
      steps('expiry', 2),
      ask({ what: 'undo', keepSeconds: 1 }),
    ],
    ends: ['undo terminated', 'undo undone'],
  },
];

it.each(found)('$title', async ({ actions, setting, ends }) => {
  const world = await play(snapshotModel, bench, actions, setting);
  expect(world.endings).toEqual(expect.arrayContaining(ends));
});
