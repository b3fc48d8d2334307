/** What is told of a move of several disks: its plan, its words, how far it is, its end. */
import { expect, test } from '@jest/globals';
import { disksPlanLines } from '../../client/cli/render/disks-plan.ts';
import { endLines, statusRows } from '../../client/cli/render/by-kind.ts';
import { parsePause } from '../../client/cli/arguments/duration.ts';
import { disksPlan } from '../../workflows/transfer/disks/plan.ts';
import { moveDisksInput } from '../../workflows/transfer/disks/request.ts';
import { disksWords, tallyWords } from '../../workflows/transfer/disks/words.ts';
import { viewOf } from '../support/scenes/client-views.ts';

const plain = (_: string, text: string) => text;
const MIB = 2 ** 20;
const UUID = 'b0c5a6f5-8c54-4b52-9d7b-3f9a1f3d2c11';
const asked = { vm: 'web1', to: 'vault', sources: 'delete', verify: 'full' } as const;

const imageOf = (disk: string) => ({
  disk,
  plan: {
    host: 'h1',
    vm: { name: 'web1', uuid: UUID, disk },
    snapshots: [],
    to: { pool: 'vault', folder: '/vault', identity: '1:1' },
    volumes: [
      {
        ...{ path: `/images/${disk}.qcow2`, pool: 'images', format: 'qcow2', identity: '1:2' },
        ...{ name: `${disk}.qcow2`, sizeBytes: 8 * MIB, allocatedBytes: 6 * MIB, modifiedNs: '1' },
        ...{ rebase: null, convert: null },
      },
    ],
    ...{ totalBytes: 8 * MIB, spaceNeededBytes: 6 * MIB, spaceFreeBytes: 100 * MIB },
    ...{ adopted: null, leftovers: [], usedLeftovers: [], switched: false, sharedWith: [] },
  },
});
const planned = (how: string) =>
  disksPlan.parse({
    kind: 'plan',
    found: {
      ...{ vm: 'web1', vmUuid: UUID, state: 'running', disks: ['vda', 'vdb', 'vdc'] },
      ...{ left: [{ disk: 'hda', why: 'it is a cdrom' }], stallMsOfEach: 25 },
    },
    switch: how,
    expectedStallMs: 50,
    disks: [imageOf('vda'), imageOf('vdb')],
    there: ['vdc'],
  });

test('a plan tells each copy, the space of all, and how long the guest will stand still', () => {
  expect(disksPlanLines(planned('together'), asked)).toEqual([
    'Move of 2 disk(s) of web1 to pool vault',
    '  vda       /images/vda.qcow2 to /vault/vda.qcow2',
    '  vdb       /images/vdb.qcow2 to /vault/vdb.qcow2',
    '  vdc       is there already',
    '  hda       stays: it is a cdrom',
    '  space     12.0 MiB needed, 100.0 MiB free',
    '  switch    together, in one suspension of about 50 ms',
    '',
    'Nothing was touched (--dry-run).',
  ]);
  expect(disksPlanLines(planned('one after the other'), asked)).toContain(
    '  switch    one after the other: together the guest would stand still for about 50 ms',
  );
  expect(disksPlanLines({ kind: 'done', reason: 'all there' }, asked)).toEqual([
    'Nothing to do: all there',
  ]);
});

test('equal words are the same request', () => {
  const words = (more: object) =>
    disksWords(moveDisksInput.parse({ vm: 'web1', host: 'h1', to: 'vault', ...more }));
  expect(words({})).toBe('move web1 --to vault');
  expect(words({ disks: ['vda', 'vdb'], wipe: true })).toBe('move web1 vda vdb --to vault --wipe');
  expect(words({ sources: 'keep', verify: 'none' })).toBe('copy web1 --to vault --verify none');
  expect(() => words({ disks: ['vda', 'vda'] })).toThrow();
  expect(() => words({ sources: 'keep', wipe: true })).toThrow();
  const going = { onVmStop: 'continue' };
  expect(words(going)).toBe('move web1 --to vault --on-vm-stop continue');
  expect(() => words({ ...going, sources: 'keep' })).toThrow('several moments');
  expect(() => words({ ...going, waitForDecision: true })).toThrow('take the decision');
});

test('a status and a result tell each disk', () => {
  const disks = [
    { disk: 'vda', state: 'moved' as const, why: null },
    { disk: 'vdb', state: 'failed' as const, why: 'no space' },
  ];
  expect(tallyWords(disks, false)).toBe('1 of 2 disks moved (vda); vdb failed: no space');
  const more = { operation: 'MoveDisks', disks, switch: 'together' };
  const { status } = viewOf({ ...more, bandwidthBytesPerSecond: 0 }, { kind: 'MoveDisks' });
  expect(status && statusRows(status)).toEqual([
    ['vda', 'moved'],
    ['vdb', 'failed (no space)'],
    ['switch', 'together'],
    ['limit', 'no limit, of each disk'],
    ['moves', '`blockflow status web1/DISK`'],
  ]);
  const result = {
    outcome: 'moved' as const,
    summary: 'moved 1 disk(s)',
    ...{ disks, chainAfter: ['/vault/vda.qcow2'], stallMs: 40 },
    ...{ removals: ['images/vda.qcow2/removal/1'], warnings: [] },
  };
  expect(endLines('MoveDisks', result, plain)).toEqual([
    'Done: moved 1 disk(s)',
    '  copy     /vault/vda.qcow2',
    '  deletion `blockflow status images/vda.qcow2/removal/1`',
  ]);
});

test('a pause is in milliseconds, or has a unit', () => {
  expect(['200', '250ms', '2s'].map(parsePause)).toEqual([200, 250, 2000]);
  for (const text of ['0', '61s', '1m', 'x']) expect(() => parsePause(text)).toThrow(/pause/);
});
