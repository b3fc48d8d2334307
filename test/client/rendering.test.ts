/** What a person reads: progress, chains, failures, sizes. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { chainLines } from '../../client/cli/render/chain-table.ts';
import { operationLines } from '../../client/cli/render/operation.ts';
import { progressWords } from '../../client/library/progress-words.ts';
import { sizeWords } from '../../workflows/operation/words.ts';
import { durationWords } from '../../client/library/times.ts';
import { lineDisplay } from '../../client/cli/show-progress.ts';
import { chainObservation } from '../../workflows/chain/schemas.ts';
import { createScreen, viewOf } from '../support/scenes/client-views.ts';

const plain = (_: string, text: string) => text;
const copying = {
  phase: 'copying',
  percent: 42.04,
  copiedBytes: 108 * 2 ** 20,
  totalBytes: 256 * 2 ** 20,
  rateBytesPerSecond: 118.3 * 2 ** 20,
  remainingSeconds: 125,
  note: null,
};

test('progress says percent, amount, rate and what is left', () => {
  expect(progressWords(viewOf({ phase: 'copying' }, { progress: copying }))).toBe(
    'copying 42.0 %, 108.0 MiB of 256.0 MiB, 118.3 MiB/s, 2 min 5 s left',
  );
});

test('without an orchestrator the heartbeat is shown, with who does not answer', () => {
  const troubles = ['the orchestrator does not answer (not seen for minutes)'];
  const view = viewOf(null, { progress: { ...copying, remainingSeconds: null }, troubles });
  expect(progressWords(view)).toBe(
    'copying 42.0 %, 108.0 MiB of 256.0 MiB, 118.3 MiB/s - ' +
      'the orchestrator does not answer (not seen for minutes)',
  );
});

test.each([
  ['MoveImage', 'verifying'],
  ['RemoveImage', 'wiping'],
])('how far %s is with %s is told, too', (operation, phase) => {
  const view = viewOf({ operation, phase }, { progress: { ...copying, phase } });
  expect(progressWords(view)).toMatch(/^\w+ing 42.0 %, 108.0 MiB of 256.0 MiB/);
});

test('percentages of the copy are not shown for later phases', () => {
  expect(progressWords(viewOf({ phase: 'deleting' }, { progress: copying }))).toBe('deleting');
});

test('a log gets a line a second at most, a new phase at once, and nothing twice', () => {
  const { screen, printed } = createScreen();
  let nowMs = 0;
  const display = lineDisplay(screen, () => nowMs);
  const at = (ms: number, percent: number) => {
    nowMs = ms;
    display.show(viewOf({ phase: 'copying' }, { progress: { ...copying, percent } }));
  };
  at(0, 1);
  at(500, 2);
  at(1000, 3);
  at(2500, 3);
  nowMs = 2600;
  display.show(viewOf({ phase: 'pivoting' }));
  display.show(viewOf({ phase: 'finished' }, { state: 'done' }));
  expect(printed.map((line) => line.replace(/^\S+ /, ''))).toEqual([
    expect.stringMatching(/^web1\/vda copying 1.0 %/),
    expect.stringMatching(/^web1\/vda copying 3.0 %/),
    'web1/vda pivoting',
  ]);
});

test('status says what a cancel would do now', () => {
  const lines = operationLines(
    viewOf({ phase: 'copying' }),
    plain,
    Date.parse('2026-01-01T00:01Z'),
  );
  expect(lines[0]).toBe('web1/vda  LiveMerge  copying');
  expect(lines).toContainEqual(expect.stringMatching(/^ {2}started {2}.*\(1 min 0 s ago\)$/));
  expect(lines).toContain('  cancel   possible: the chain stays');
});

test('status of a move says what is copied, where to, and the limit', () => {
  const move = { operation: 'MoveImage', chainBefore: ['/a/b.raw', '/a/t.qcow2'] };
  const sizes = { imageBytes: 5 * 2 ** 20, bandwidthBytesPerSecond: 2 ** 20 };
  const view = viewOf({ ...move, ...sizes, chainTarget: ['/o/b.raw', '/o/t.qcow2'] });
  expect(operationLines(view, plain)).toEqual(
    expect.arrayContaining([
      '  size     5.0 MiB',
      '  before   b.raw ← t.qcow2',
      '  copy     /o/b.raw',
      '  copy     /o/t.qcow2',
      '  limit    1.0 MiB/s',
    ]),
  );
  const [, ...early] = operationLines(viewOf({ ...move, chainBefore: [] }), plain);
  expect(early.join('\n')).not.toMatch(/size|before|copy|limit/);
});

const volume = (path: string, index: number) => ({
  path,
  index,
  format: 'qcow2',
  identity: '1:2',
  virtualSizeBytes: 2 ** 31,
  allocatedBytes: 5 * 2 ** 20,
  pool: 'images',
  internalSnapshots: [],
});
const chain = chainObservation.parse({
  vm: {
    name: 'web1',
    uuid: 'b0c5a6f5-8c54-4b52-9d7b-3f9a1f3d2c11',
    state: 'running',
    stateReason: 'running (booted)',
    persistent: true,
  },
  disk: 'vda',
  host: 'h1',
  readOnly: false,
  transient: false,
  volumes: [volume('/p/base.qcow2', 2), volume('/p/top.qcow2', 1)],
  views: {
    live: ['/p/base.qcow2', '/p/top.qcow2'],
    persistent: ['/p/other.qcow2'],
    headers: ['/p/base.qcow2', '/p/top.qcow2'],
    open: ['/p/top.qcow2'],
  },
  disagreements: ['the persistent XML starts /p/other.qcow2'],
  job: {
    type: 'Active Block Commit',
    copiedBytes: 1,
    totalBytes: 2,
    bandwidthBytesPerSecond: 0,
    ready: true,
  },
  record: null,
});

test('a chain is a table from base to active, with views, differences and the job', () => {
  const lines = chainLines(chain, plain);
  expect(lines).toContain('web1/vda on h1: running (booted), persistent');
  expect(lines).toContain(
    'base    vda[2]  qcow2   2.0 GiB    5.0 MiB  images  NO    /p/base.qcow2',
  );
  expect(lines).toContain('active  vda[1]  qcow2   2.0 GiB    5.0 MiB  images  yes   /p/top.qcow2');
  expect(lines).toContain('  persistent XML      other.qcow2');
  expect(lines).toContain('The views differ: the persistent XML starts /p/other.qcow2');
  expect(lines.at(-1)).toBe('Job Active Block Commit (READY): 1 B of 2 B, not a job of blockflow');
});

test('sizes have one decimal and the unit in which they are below 1024', () => {
  expect(sizeWords(1023)).toBe('1023 B');
  expect(sizeWords(2 ** 20 - 1)).toBe('1.0 MiB');
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 50 }), (bytes) => {
      expect(Number.parseFloat(sizeWords(bytes))).toBeLessThan(1024);
    }),
  );
});

test('durations name their two largest units', () => {
  expect([0, 59.4, 60, 3599, 3600, 200_000].map(durationWords)).toEqual([
    '0 s',
    '59 s',
    '1 min 0 s',
    '59 min 59 s',
    '1 h 0 min',
    '2 d 7 h',
  ]);
});
