/** A revert as its user sees it: words, durations, plan, status and end. */
import { expect, test } from '@jest/globals';
import { parseDuration } from '../../client/cli/arguments/duration.ts';
import { endLines, statusRows } from '../../client/cli/render/by-kind.ts';
import { revertPlanLines } from '../../client/cli/render/revert-plan.ts';
import { backwards, poolsOf } from '../../workflows/snapshot/revert/change.ts';
import { revertPlanOutcome, type DiskSwitch } from '../../workflows/snapshot/revert/plan.ts';
import { revertSnapshotInput } from '../../workflows/snapshot/revert/request.ts';
import { revertWords } from '../../workflows/snapshot/revert/words.ts';
import { viewOf } from '../support/scenes/client-views.ts';

const UUID = 'b0c5a6f5-8c54-4b52-9d7b-3f9a1f3d2c11';
const to = { pool: 'images', folder: '/p', identity: '1:2' };
const layer = (path: string) => ({
  ...{ volume: { path, pool: 'images', identity: '1:3' }, format: 'qcow2' as const, to },
});

test('a request in words can be typed as it is, and names a snapshot or an undo', () => {
  const asked = { vm: 'web1', host: 'h1' };
  const words = (more: object) => revertWords(revertSnapshotInput.parse({ ...asked, ...more }));
  expect(words({ name: 's' })).toBe('snapshot revert web1 s');
  expect(words({ undo: true, keepSeconds: 5400 })).toBe('snapshot revert web1 --undo --keep 90m');
  expect(words({ name: 's', start: true, dropMemory: true, keepSeconds: 90 })).toBe(
    'snapshot revert web1 s --start --drop-memory --keep 90s',
  );
  for (const bad of [{}, { name: 's', undo: true }, { name: 's', keepSeconds: 0 }]) {
    expect(revertSnapshotInput.safeParse({ ...asked, ...bad }).success).toBe(false);
  }
});

test.each([
  ['90s', 90],
  ['30m', 1800],
  ['36h', 129_600],
  ['7d', 604_800],
])('the duration %s', (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds);
});

test.each(['', '7', '0d', '1.5h', '-1d', '7w'])('no duration: %j', (text) => {
  expect(() => parseDuration(text)).toThrow('is not a duration');
});

test('a plan tells each disk, what is kept, and what stays', () => {
  const plan = {
    ...{ vm: 'web1', vmUuid: UUID, host: 'h1', snapshot: 's', before: 't' },
    disks: [
      {
        ...{ disk: 'vda', base: layer('/p/web1.qcow2').volume, baseFormat: 'qcow2' },
        ...{ virtualSizeBytes: 1, clusterBytes: null, extendedL2: false, to },
        ...{ name: 'web1.1796038692', backingName: 'web1.qcow2' },
        ...{ retired: layer('/p/web1.t'), below: [] },
      },
    ],
    ...{ stay: ['vdb'], warnings: ['it is odd'] },
  };
  expect(revertPlanLines(revertPlanOutcome.parse({ kind: 'plan', plan }))).toEqual([
    'Revert of web1 on h1 to snapshot s',
    '  vda       /p/web1.qcow2 ← /p/web1.1796038692',
    '            keeps /p/web1.t in quarantine',
    '  vdb       stays as it is: not part of the snapshot',
    '  note      it is odd',
    '',
    'Nothing was touched (--dry-run).',
  ]);
});

const change: DiskSwitch = {
  ...{ vm: 'web1', vmUuid: UUID, current: { from: 't', to: 's' } },
  disks: [{ disk: 'vda', from: layer('/p/web1.t'), to: layer('/p/web1.17'), below: [] }],
};

test('an undo is the same change backwards', () => {
  const back = backwards(change);
  expect(back.current).toEqual({ from: 's', to: 't' });
  expect(back.disks[0]?.to.volume.path).toBe('/p/web1.t');
  expect(backwards(back)).toEqual(change);
  expect(poolsOf(change)).toEqual([to]);
});

test('status and end tell the layers before and after', () => {
  const { status } = viewOf({
    ...{ operation: 'RevertSnapshot', disk: '*', disks: ['vda'], snapshot: 's' },
    ...{ chainBefore: ['/p/web1.t'], chainTarget: ['/p/web1.17'] },
  });
  expect(status && statusRows(status)).toEqual([
    ['snapshot', 's'],
    ['disks', 'vda'],
    ['before', '/p/web1.t'],
    ['after', '/p/web1.17'],
  ]);
  const result = {
    ...{ outcome: 'reverted' as const, summary: 'web1 is at snapshot s', snapshot: 's' },
    ...{ jobId: UUID, disks: [{ disk: 'vda', before: '/p/web1.t', now: '/p/web1.17' }] },
    ...{ chainAfter: ['/p/web1.17'], keptUntil: null, started: false, warnings: ['it is odd'] },
  };
  expect(endLines('RevertSnapshot', result, (_, text) => text)).toEqual([
    'Done: web1 is at snapshot s',
    '  vda      /p/web1.17, before /p/web1.t',
    '  note     it is odd',
  ]);
});
