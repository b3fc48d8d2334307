/** What is told of the deletion of a snapshot: its plan, its words, how far it is, its end. */
import { expect, test } from '@jest/globals';
import { endLines, statusRows } from '../../client/cli/render/by-kind.ts';
import { deletionPlanLines } from '../../client/cli/render/deletion-plan.ts';
import { deletionPlan } from '../../workflows/snapshot/delete/plan.ts';
import type { DiskState } from '../../workflows/snapshot/delete/kind.ts';
import { deleteSnapshotInput } from '../../workflows/snapshot/delete/request.ts';
import { deleteWords, tallyWords } from '../../workflows/snapshot/delete/words.ts';
import { viewOf } from '../support/scenes/client-views.ts';

const plain = (_: string, text: string) => text;
const MIB = 2 ** 20;
const UUID = 'b0c5a6f5-8c54-4b52-9d7b-3f9a1f3d2c11';

const volume = (path: string) => ({
  path,
  index: null,
  format: 'qcow2',
  identity: '1:2',
  virtualSizeBytes: 8 * MIB,
  allocatedBytes: MIB,
  pool: 'images',
  internalSnapshots: [],
});
const mergeOf = (disk: string) => ({
  kind: 'plan',
  plan: {
    ...{ vm: 'web1', vmUuid: UUID, disk, host: 'h1', mode: 'inner', persistent: true },
    ...{ adopted: null, alreadyMerged: false, overlay: null, sharedWith: [], snapshots: [] },
    chainBefore: [volume(`/p/${disk}`), volume(`/p/${disk}.s`)],
    top: volume(`/p/${disk}.s`),
    base: volume(`/p/${disk}`),
    committed: [volume(`/p/${disk}.s`)],
    deletes: [{ path: `/p/${disk}.s`, pool: 'images', identity: '1:2' }],
    ...{ spaceNeededBytes: 0, spaceFreeBytes: 0, warnings: ['it is odd'] },
  },
});

test('a plan tells each merge, what was merged before, the memory, and the record', () => {
  const memory = { file: '/p/m', allocatedBytes: MIB, volume: null, stays: 'QEMU has it open' };
  const plan = deletionPlan.parse({
    kind: 'plan',
    deletion: {
      ...{ vm: 'web1', vmUuid: UUID, host: 'h1' },
      snapshots: [{ name: 's', takenAt: null, disks: ['vdb', 'vdc', 'vdd'], memory }],
    },
    disks: [
      { snapshot: 's', disk: 'vdb', outcome: mergeOf('vdb') },
      {
        ...{ snapshot: 's', disk: 'vdd' },
        outcome: { kind: 'no-space', path: '/p', neededBytes: 3 * MIB, freeBytes: MIB },
      },
    ],
    refused: [{ snapshot: 's', disk: 'vdc', why: '/p/c is shared', next: 'Fix it' }],
    merged: [{ snapshot: 's', disk: 'vda' }],
  });
  expect(deletionPlanLines(plan)).toEqual([
    'Deletion of s of web1 on h1',
    '  snapshot  s',
    '    vda     merged before',
    '    vdb     inner merge of vdb.s, 1.0 MiB, into vdb',
    '            delete /p/vdb.s (pool images)',
    '            note      it is odd',
    '    vdd     would wait for 2.0 MiB more on the file system of /p',
    '    vdc     refused: /p/c is shared',
    '    memory  /p/m stays: QEMU has it open',
    "    record  libvirt's list, when all of this is done",
    '',
    'Nothing was touched (--dry-run).',
  ]);
});

test('a plan tells what is deleted inside of images', () => {
  const part = {
    disk: 'vdb',
    volume: { path: '/p/b', pool: 'images', identity: '1:2' },
    handle: { format: 'qcow2', id: '3', name: 's' },
    takenSeconds: 1,
  };
  const lines = (inside: object) => {
    const snapshots = [
      { name: 's', takenAt: null, disks: [], memory: null, inside: { images: [], ...inside } },
    ];
    const deletion = { vm: 'web1', vmUuid: UUID, host: 'h1', snapshots };
    const nothing = { disks: [], refused: [], merged: [] };
    return deletionPlanLines(deletionPlan.parse({ kind: 'plan', deletion, ...nothing })).slice(2);
  };
  expect(lines({ parts: [part], gone: ['vda'], record: 'goes', warnings: ['odd'] })).toEqual([
    '    vda     does not have it (any more)',
    '    vdb     delete id 3 inside of /p/b',
    '            note      odd',
    "    record  libvirt's list, when all of this is done",
    '',
    'Nothing was touched (--dry-run).',
  ]);
  const recordOf = (record: string) => lines({ parts: [], gone: [], record, warnings: [] })[0];
  expect(recordOf('none')).toBe('    record  libvirt lists none');
  expect(recordOf('stays')).toBe('    record  stays: an image has another one of this name');
});

test('a handle has the name of the snapshot, and no children', () => {
  const asked = { vm: 'web1', host: 'h1', name: 's' };
  const only = { disk: 'vda', handle: { format: 'qcow2', id: '3', name: 's' } };
  const words = 'snapshot delete web1 s --disk vda --format qcow2 --id 3';
  expect(deleteWords(deleteSnapshotInput.parse({ ...asked, only }))).toBe(words);
  const faults = (more: object) => deleteSnapshotInput.safeParse({ ...asked, only, ...more }).error;
  expect(faults({ name: 'other' })?.issues[0]?.message).toMatch(/another name/);
  expect(faults({ scope: 'children' })?.issues[0]?.message).toMatch(/without those/);
});

test('a request in words can be typed as it is', () => {
  const asked = { vm: 'web1', host: 'h1', name: 's' };
  const words = (more: object) => deleteWords(deleteSnapshotInput.parse({ ...asked, ...more }));
  expect(words({ atOnce: 4 })).toBe('snapshot delete web1 s');
  expect(words({ scope: 'children' })).toBe('snapshot delete web1 s --children');
  expect(words({ scope: 'children-only' })).toBe('snapshot delete web1 s --children-only');
});

const disk = (name: string, state: DiskState['state'], why: string | null = null) => ({
  ...{ snapshot: 's', disk: name, state, why },
});

test('how far it is names every disk that is not merged, with the reason', () => {
  const disks = [disk('vda', 'merged'), disk('vdb', 'failed', 'no space'), disk('vdc', 'left')];
  expect(tallyWords(disks)).toBe('1 of 3 disks merged (vda); vdb failed: no space; vdc left');
  const two = [disk('vda', 'merged'), { ...disk('vda', 'left'), snapshot: 'r' }];
  expect(tallyWords(two)).toBe('1 of 2 disks merged (vda of s); vda of r left');
  expect(tallyWords([disk('vda', 'left')])).toBe('0 of 1 disk merged; vda left');
  const inside = [disk('vda', 'deleted'), disk('vdb', 'waiting')];
  expect(tallyWords(inside, true)).toBe('deleted from 1 of 2 disks (vda); vdb waiting');
  const { status } = viewOf({ operation: 'DeleteSnapshot', disk: '*', disks });
  expect(status && statusRows(status)).toEqual([
    ['vda', 's: merged'],
    ['vdb', 's: failed (no space)'],
    ['vdc', 's: left'],
  ]);
});

test('the end tells what was deleted', () => {
  const result = {
    outcome: 'deleted' as const,
    ...{ summary: 'deleted snapshot s of web1', snapshots: ['s'] },
    ...{ disks: [disk('vda', 'merged')], deleted: ['/p/a'], regainedBytes: MIB },
    warnings: ['it is odd'],
  };
  expect(endLines('DeleteSnapshot', result, plain)).toEqual([
    'Done: deleted snapshot s of web1',
    '  deleted  /p/a',
    '  regained 1.0 MiB',
    '  note     it is odd',
  ]);
});
