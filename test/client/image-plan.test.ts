/** What is told of a move, a copy and a removal before it runs: its plan, its words, its page. */
import { expect, test } from '@jest/globals';
import { removalPlanLines, transferPlanLines } from '../../client/cli/render/image-plan.ts';
import { pagesOf } from '../../workflows/removal/detached.ts';
import { removalKind } from '../../workflows/removal/kind.ts';
import { copyImageInput, moveImageInput } from '../../workflows/transfer/request.ts';
import { removeImageInput } from '../../workflows/removal/request.ts';
import { imagePlan, type ImagePlan, type ImageVolume } from '../../workflows/transfer/plan.ts';
import { copyWords, moveWords } from '../../workflows/transfer/words.ts';

const MIB = 2 ** 20;
const JOB = 'b0c5a6f5-8c54-4b52-9d7b-3f9a1f3d2c11';
const volume = (name: string, sizeBytes: number, allocatedBytes: number) => ({
  path: `/images/${name}`,
  pool: 'images',
  format: 'qcow2',
  identity: '1:2',
  name,
  sizeBytes,
  allocatedBytes,
  modifiedNs: '1',
  rebase: null,
  convert: null,
});
const planned = (changes: Partial<ImagePlan> = {}) => ({
  kind: 'plan' as const,
  plan: imagePlan.parse({
    host: 'h1',
    vm: { name: 'web1', uuid: JOB, disk: 'vda' },
    snapshots: ['s1'],
    to: { pool: 'vault', folder: '/vault', identity: '1:1' },
    volumes: [volume('base.qcow2', 8 * MIB, 6 * MIB), volume('top.qcow2', 4 * MIB, 3 * MIB)],
    totalBytes: 12 * MIB,
    spaceNeededBytes: 9 * MIB,
    spaceFreeBytes: 100 * MIB,
    adopted: null,
    leftovers: [],
    usedLeftovers: [],
    switched: false,
    sharedWith: [],
    ...changes,
  }),
});
const move = {
  verb: 'move',
  id: 'web1/vda',
  verify: 'full',
  wipe: false,
  waitForDecision: false,
} as const;

test('a move tells bytes, space, steps, and what is deleted', () => {
  expect(transferPlanLines(planned(), move)).toEqual([
    'Move of web1/vda to pool vault: 2 volume(s), 12.0 MiB',
    '  copy      /images/base.qcow2 to /vault/base.qcow2, 8.0 MiB, 6.0 MiB on the disk',
    '  copy      /images/top.qcow2 to /vault/top.qcow2, 4.0 MiB, 3.0 MiB on the disk',
    '  space     9.0 MiB needed, 100.0 MiB free',
    "  snapshot  s1: libvirt's record names the copies",
    '  delete    /images/base.qcow2 (pool images), 6.0 MiB',
    '  delete    /images/top.qcow2 (pool images), 3.0 MiB',
    '  steps',
    '    1. reserve 2 volume(s) in pool vault',
    '    2. hold the source against writes and the start of its VM until the end',
    '    3. copy 12.0 MiB and flush the copies',
    '    4. compare the copies with the source',
    '    5. give the copies their names',
    '    6. switch the record of web1/vda; no cancel from here on',
    '    7. delete the source, in a workflow of its own',
    '',
    'Nothing was touched (--dry-run).',
  ]);
});

test('the move of a running VM tells what is mirrored, and when the guest is suspended', () => {
  const live = {
    virtualSizeBytes: 8 * MIB,
    backing: { name: 'base.qcow2', format: 'qcow2' as const },
    clusterBytes: null,
    extendedL2: false,
    synchronousWrites: false,
    isMirrored: false,
  };
  const lines = transferPlanLines(planned({ live }), move);
  expect(lines.slice(lines.indexOf('  steps') + 1, -2)).toEqual([
    '    1. reserve 2 volume(s) in pool vault',
    '    2. hold, copy and compare 1 lower volume(s), which QEMU only reads',
    '    3. give the copies their names',
    '    4. mirror top.qcow2 while the VM runs, until both hold the same',
    '    5. suspend the guest, switch web1/vda, resume; no cancel from here on',
    '    6. prove that QEMU has nothing of the source open',
    '    7. delete the source, in a workflow of its own',
  ]);
  const [, top] = planned().plan.volumes;
  const single = planned({ live, volumes: top ? [top] : [] });
  expect(transferPlanLines(single, move).join()).not.toContain('lower');
});

test('a flat copy is one row, with all that is read for it', () => {
  const [base, top] = planned().plan.volumes as [ImageVolume, ImageVolume];
  const convert = { format: 'qcow2', preallocation: 'off', virtualSizeBytes: 8 * MIB } as const;
  const flat = { flatten: true, snapshots: [], volumes: [base, { ...top, convert }] };
  const rows = transferPlanLines(planned(flat), move);
  expect(rows).toContain(
    '  copy      /images/base.qcow2 ← /images/top.qcow2 to /vault/top.qcow2, 8.0 MiB, 9.0 MiB on ' +
      'the disk, rewritten as qcow2, preallocation off',
  );
  expect(rows).toContain('    1. reserve 1 volume(s) in pool vault');
  expect(rows.filter((row) => row.startsWith('  delete'))).toHaveLength(2);
});

test('what is not asked for is no step, and what is asked for is one', () => {
  const text = (changes: Partial<ImagePlan>, asked: object) =>
    transferPlanLines(planned(changes), { ...move, ...asked }).join('\n');
  expect(text({}, { verify: 'none' })).not.toContain('compare');
  expect(text({}, { wipe: true })).toContain('overwrite with zeros and delete the source');
  const copy = text({ vm: null, snapshots: [] }, { verb: 'copy' });
  expect(copy).toContain('Copy of web1/vda to pool vault');
  expect(copy).not.toMatch(/delete|record|no cancel/);
  const ofNoVm = text({ vm: null, snapshots: [] }, { id: 'images/top.qcow2' });
  expect(ofNoVm).toContain('delete the source, in a workflow of its own; no cancel from here on');
  expect(ofNoVm).not.toContain('record');
  const runs = text({ adopted: { jobId: JOB, owner: JOB }, leftovers: [JOB] }, {});
  expect(runs).toContain(`adopts    job ${JOB}`);
  expect(runs).toContain(`removes   the copies of job ${JOB}`);
  const convert = { format: 'raw', preallocation: 'full', virtualSizeBytes: 64 * MIB } as const;
  const [one] = planned().plan.volumes;
  const converted = text({ volumes: [{ ...one, convert } as ImagePlan['volumes'][0]] }, {});
  expect(converted).toContain('64.0 MiB, 6.0 MiB on the disk, rewritten as raw, preallocation');
});

test('of a move whose record is switched only the end is told', () => {
  expect(transferPlanLines(planned({ switched: true }), { ...move, wipe: true })).toEqual([
    'An earlier run has moved web1/vda to pool vault; its end is left to do, no cancel',
    '  is there  /vault/base.qcow2',
    '  is there  /vault/top.qcow2',
    '  delete    /images/base.qcow2 (pool images), 6.0 MiB',
    '  delete    /images/top.qcow2 (pool images), 3.0 MiB',
    '  steps',
    '    1. complete the record of web1/vda',
    '    2. overwrite with zeros and delete the source, in a workflow of its own',
    '',
    'Nothing was touched (--dry-run).',
  ]);
});

test('a removal tells what goes, how much, and whether it is overwritten', () => {
  const named = { path: '/images/a.raw', pool: 'images', identity: '1:2' };
  const plan = { volumes: [named], totalBytes: MIB, sharedWith: [] };
  expect(removalPlanLines(plan, { id: 'images/a.raw', wipe: false })).toEqual([
    'Removal of images/a.raw: 1 volume(s), 1.0 MiB on the disk',
    '  image     a.raw',
    '  delete    /images/a.raw (pool images)',
    '  steps',
    '    1. prove that nothing refers to it and no process has it open',
    '    2. delete it; no cancel from here on',
    '',
    'Nothing was touched (--dry-run).',
  ]);
  const wiped = removalPlanLines(plan, { id: 'images/a.raw', wipe: true }).join('\n');
  expect(wiped).toContain('2. overwrite its data with zeros and delete it; no cancel');
});

const asked = { host: 'h1', requestedBy: 'me' };
const image = { pool: 'images', volume: 'root', format: 'qcow2' } as const;

test('a request in words can be typed as it is', () => {
  const root = { kind: 'volume', ...image } as const;
  const words = moveWords(moveImageInput.parse({ ...asked, image: root, to: 'vault' }));
  expect(words).toBe('move images/root --to vault --source-format qcow2');
  const named = { ...root, volume: 'root.qcow2' };
  const plain = copyWords(copyImageInput.parse({ ...asked, image: named, to: 'vault' }));
  expect(plain).toBe('copy images/root.qcow2 --to vault');
  const live = (options: object) =>
    moveWords(moveImageInput.parse({ ...asked, image: named, to: 'vault', ...options }));
  expect(live({ maxPauseMs: 200 })).toBe('move images/root.qcow2 --to vault');
  expect(live({ maxPauseMs: 201 })).toBe('move images/root.qcow2 --to vault --max-pause 201');
  const converging = 'move images/root.qcow2 --to vault --converge --max-pause 200';
  expect(live({ converge: true })).toBe(converging);
  const removal = removeImageInput.parse({ ...asked, ...image, wipe: true });
  expect(removalKind.words(removal)).toBe('rm images/root --source-format qcow2 --wipe');
});

test('a removal that no user typed tells whose it is, in at most 200 bytes', () => {
  const left = { jobId: JOB, volumes: [] };
  const input = removeImageInput.parse({ ...asked, ...image, left, wipe: true });
  const { staticSummary, staticDetails } = pagesOf(input, 'web1/vda');
  expect(staticSummary).toBe(
    'delete the source that web1/vda has left: images/root, overwritten first',
  );
  expect(staticDetails.split('\n')).toEqual([
    '| RemoveImage | of the source that web1/vda has left |',
    '|---|---|',
    '| Request | `rm images/root --source-format qcow2 --wipe` |',
    '| Host | h1 |',
    '| Asked by | me |',
    expect.stringMatching(/^\| To cancel \| `blockflow cancel images\/root\/removal/),
  ]);
  const copies = { jobId: JOB, owners: [JOB], to: { pool: 'v', folder: '/v', identity: '1:1' } };
  const undo = removeImageInput.parse({ ...asked, ...image, copies });
  const long = pagesOf(undo, `${'ü'.repeat(200)}/vda`).staticSummary;
  expect(long).toMatch(/^delete copies that ü+…$/);
  expect(Buffer.byteLength(long)).toBeLessThanOrEqual(200);
  expect(pagesOf(undo, 'web1/vda').staticSummary).toContain('made in vain: images/root');
});
