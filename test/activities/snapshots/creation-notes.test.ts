/** Which overlays an earlier run has made, when its notes are gone from some of its pools. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { overlaysOf } from '../../../activities/host/snapshots/creation-notes.ts';
import { stagedFile } from '../../../activities/pool-folder/reservation.ts';
import type { PlannedDisk } from '../../../workflows/snapshot/create/plan.ts';
import { givePoolId, idInPool } from '../../support/scenes/stubbed-pool.ts';

const JOB = '5d0c9f6e-2f0b-4f3c-9d55-0b1f5b1f8a11';
let root: string;

beforeEach(async () => void (root = await mkdtemp(join(tmpdir(), 'blockflow-notes-'))));
afterEach(() => rm(root, { recursive: true }));

async function diskIn(pool: string, disk: string): Promise<PlannedDisk> {
  const folder = join(root, pool);
  await mkdir(folder);
  await givePoolId(folder);
  const base = { path: join(folder, 'base'), pool, identity: '1:1' };
  const to = { pool, folder, identity: await idInPool(folder) };
  return { disk, base, to, name: `${disk}.s1` } as PlannedDisk;
}

const pathOf = ({ to, name }: PlannedDisk) => join(to.folder, name);

async function reserve({ to, name }: PlannedDisk): Promise<void> {
  const staged = stagedFile(to.folder, JOB, name, 'ready');
  await mkdir(dirname(staged), { recursive: true });
  await writeFile(staged, '');
}

it('names the overlay of a pool that has forgotten the job, and of one that has not', async () => {
  const [released, kept, unmade, foreign] = [
    await diskIn('one', 'vda'),
    await diskIn('two', 'vdb'),
    await diskIn('three', 'vdc'),
    await diskIn('four', 'vdd'),
  ];
  await writeFile(pathOf(released), '');
  await reserve(kept);
  // Reserved and not made, while another program has the name.
  await mkdir(dirname(stagedFile(foreign.to.folder, JOB, foreign.name, 'ready')), {
    recursive: true,
  });
  await writeFile(pathOf(foreign), '');
  const found = await overlaysOf(JOB, { disks: [released, kept, unmade, foreign] });
  expect(found.map(({ disk, volume }) => [disk, volume.path])).toEqual([
    ['vda', pathOf(released)],
    ['vdb', pathOf(kept)],
  ]);
});
