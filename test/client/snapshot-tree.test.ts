/** What `blockflow snapshot list` shows, and what it knows of deletions that are not complete. */
import { expect, test } from '@jest/globals';
import { snapshotLines } from '../../client/cli/render/snapshot-tree.ts';
import { timeWords } from '../../client/library/times.ts';
import type { AuditEvent } from '../../workflows/operation/audit/audit.ts';
import { withInterruption } from '../../workflows/snapshot/list/questions.ts';
import type { ListedSnapshot, SnapshotTree } from '../../workflows/snapshot/list/schemas.ts';

const plain = (_: string, text: string) => text;
const MIB = 2 ** 20;
const TAKEN = '2026-01-01T00:00:00.000Z';

const external = (disk: string): ListedSnapshot['disks'][number] => ({
  disk,
  kind: 'external',
  layer: `/p/${disk}.s`,
  found: 'in chain',
  allocatedBytes: MIB,
  inside: [],
});
const internal = (disk: string, ...ids: string[]): ListedSnapshot['disks'][number] => ({
  ...{ disk, kind: 'internal', layer: null, found: null, allocatedBytes: 0 },
  inside: ids.map((id) => ({ path: `/p/${disk}`, id, memoryBytes: 0 })),
});
const without = (disk: string): ListedSnapshot['disks'][number] => ({
  ...{ disk, kind: 'no', layer: null, found: null, allocatedBytes: 0, inside: [] },
});
const snapshot = (
  name: string,
  parent: string | null,
  more: Partial<ListedSnapshot> = {},
): ListedSnapshot => ({
  name,
  parent,
  takenAt: TAKEN,
  description: '',
  kind: 'external',
  memory: 'no',
  memoryFile: null,
  isCurrent: false,
  disks: [external('vda')],
  allocatedBytes: MIB,
  faults: [],
  ...more,
});
const treeOf = (snapshots: ListedSnapshot[], more: Partial<SnapshotTree> = {}): SnapshotTree => ({
  vm: {
    name: 'web1',
    uuid: 'b0c5a6f5-8c54-4b52-9d7b-3f9a1f3d2c11',
    state: 'running',
    stateReason: 'running (booted)',
  },
  host: 'h1',
  snapshots,
  unnamedLayers: [],
  unlistedInternal: [],
  faults: [],
  ...more,
});
const at = timeWords(TAKEN);

test('snapshots are a tree: each below its parent, with what it is and costs', () => {
  const other = { ...external('vdb'), found: 'elsewhere' } as const;
  const tree = treeOf([
    snapshot('first', null, { disks: [external('vda'), external('vdb')] }),
    snapshot('second', 'first', { memory: 'external', memoryFile: '/p/mem' }),
    snapshot('third', 'second', {
      ...{ isCurrent: true, kind: 'internal', memory: 'internal', allocatedBytes: 0 },
      disks: [internal('vda', '3'), internal('vdb', '1', '2'), internal('vdc')],
    }),
    snapshot('old', 'first', { disks: [other, without('vda')] }),
    snapshot('lost', 'no longer there', { takenAt: null, kind: 'none', disks: [] }),
  ]);
  expect(snapshotLines(tree, plain)).toEqual([
    'web1 on h1: running (booted), 5 snapshots',
    '',
    `NAME         TAKEN                KIND                 SIZE           DISKS`,
    `first        ${at}  external          1.0 MiB           vda vdb`,
    `├─ second    ${at}  external, memory  1.0 MiB           vda`,
    `│  └─ third  ${at}  internal, memory      0 B  current  vda (id 3) vdb (id 1, 2) vdc`,
    `└─ old       ${at}  external          1.0 MiB           vdb (other branch)`,
    `lost         -                    no disk           1.0 MiB`,
  ]);
});

test('what is wrong is told below, and what only storage has', () => {
  const tree = treeOf([snapshot('s', null, { faults: ['its layer of vda, /x, does not exist'] })], {
    faults: ['vdb: /y, the active layer, does not exist'],
    unnamedLayers: [{ disk: 'vda', path: '/p/a', allocatedBytes: MIB }],
    unlistedInternal: [
      { disk: 'vda', path: '/p/b', id: '7', name: 'in', takenAt: TAKEN, memoryBytes: 0 },
      { disk: 'vda', path: '/p/b', id: '8', name: 'mem', takenAt: TAKEN, memoryBytes: 9 },
    ],
  });
  expect(snapshotLines(tree, plain).slice(4)).toEqual([
    '',
    'wrong  s: its layer of vda, /x, does not exist',
    'wrong  vdb: /y, the active layer, does not exist',
    'note   vda: layer /p/a (1.0 MiB) is of no listed snapshot',
    `note   vda: /p/b holds internal snapshot in (id 7, ${at}), which libvirt does not list`,
    `note   vda: /p/b holds internal snapshot mem (id 8, ${at}, with memory), ` +
      'which libvirt does not list',
  ]);
});

const merged = (disk: string, more: Partial<AuditEvent> = {}): AuditEvent => ({
  id: `${disk}-merged`,
  time: '2026-01-02T00:00:00.000Z',
  operation: 'LiveMerge',
  workflowId: `web1/${disk}`,
  vm: 'web1',
  disk,
  host: 'h1',
  kind: 'merged',
  request: `merge web1 ${disk} --snapshot s`,
  who: 'me',
  reason: '',
  before: [],
  after: [],
  ...more,
});
const half = snapshot('s', null, { disks: [without('vda'), external('vdb'), without('vdc')] });
const faultsOf = (events: AuditEvent[], one = half) => withInterruption('web1', one, events).faults;

test('a snapshot that lost a disk to a merge is a deletion that is not complete', () => {
  expect(faultsOf([merged('vda')])).toEqual([
    'its deletion is not complete: vda merged, left is vdb; ' +
      '`blockflow snapshot delete web1 s` goes on',
  ]);
  const noMore = { ...half, disks: [without('vda')], memoryFile: '/p/mem' };
  expect(faultsOf([merged('vda')], noMore)).toEqual([expect.stringContaining('left is its memo')]);
});

test('a disk that was left out, or merged for an earlier snapshot, tells nothing', () => {
  expect(faultsOf([])).toEqual([]);
  expect(faultsOf([merged('vda', { time: '2025-12-31T00:00:00.000Z' })])).toEqual([]);
  expect(faultsOf([merged('vda', { request: 'merge web1 vda --snapshot s2' })])).toEqual([]);
  expect(faultsOf([merged('vda', { kind: 'cancelled' })])).toEqual([]);
  expect(faultsOf([merged('vdb')])).toEqual([]);
});
