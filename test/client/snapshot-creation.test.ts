/** What is told of a snapshot inside of images: its plan, its words, its end. */
import { expect, test } from '@jest/globals';
import { endLines } from '../../client/cli/render/by-kind.ts';
import { snapshotPlanLines } from '../../client/cli/render/snapshot-plan.ts';
import { creationPlan } from '../../workflows/snapshot/create/plan.ts';
import { createSnapshotInput } from '../../workflows/snapshot/create/request.ts';
import { createWords } from '../../workflows/snapshot/create/words.ts';

const plain = (_: string, text: string) => text;
const JOB = 'b0c5a6f5-8c54-4b52-9d7b-3f9a1f3d2c11';

test('a plan tells the images, and what is left out', () => {
  const image = { path: '/p/a', pool: 'images', identity: '1:2' };
  const outcome = creationPlan.parse({
    kind: 'inside',
    plan: {
      ...{ vm: 'web1', vmUuid: JOB, host: 'h1', snapshot: 's', description: '', since: 1 },
      disks: [{ disk: 'vda', image }],
      left: [{ disk: 'sda', why: 'it is a cdrom' }],
    },
  });
  expect(snapshotPlanLines(outcome).slice(0, 3)).toEqual([
    'Snapshot s of web1 on h1, inside of its images',
    '  vda       inside of /p/a',
    '  sda       not part of it: it is a cdrom',
  ]);
});

test('a request in words can be typed as it is, and a guest that is down is not quiesced', () => {
  const asked = { vm: 'web1', host: 'h1', name: 's', internal: true };
  expect(createWords(createSnapshotInput.parse(asked))).toBe('snapshot create web1 s --internal');
  const { error } = createSnapshotInput.safeParse({ ...asked, quiesce: 'try' });
  expect(error?.issues[0]?.message).toMatch(/needs a guest that runs/);
});

test('the end tells the id in each image', () => {
  const result = {
    ...{ outcome: 'created' as const, summary: 'it is taken', snapshot: 's', jobId: JOB },
    disks: [{ disk: 'vda', base: '/p/a', overlay: null, id: '3' }],
    ...{ chainAfter: ['/p/a'], stallMs: null, quiesced: false, warnings: [] },
  };
  expect(endLines('CreateSnapshot', result, plain)).toEqual([
    'Done: it is taken',
    '  vda      /p/a, id 3',
  ]);
});
