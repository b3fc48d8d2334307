/** How far a comparison and a wipe are, as their heartbeats tell it. */
import { once } from 'node:events';
import { mkdir, mkdtemp, realpath, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import type { Libvirt } from '../../../activities/adapters/virsh/domains.ts';
import { attempt, type Show } from '../../../activities/door/attempt.ts';
import { createEffect } from '../../../activities/door/effect.ts';
import type { HostDeps } from '../../../activities/host/deps.ts';
import { ensureVolumeVerified } from '../../../activities/host/transfer/ensure-volume-verified.ts';
import { ensureVolumesWiped } from '../../../activities/storage/volumes/ensure-volumes-wiped.ts';
import type { Progress } from '../../../workflows/operation/contract.ts';
import type { ImagePlan } from '../../../workflows/transfer/plan.ts';
import { dirPoolXml, givePoolId, idInPool } from '../../support/scenes/stubbed-pool.ts';

const MIB = 2 ** 20;
const JOB = '11111111-2222-4333-8444-555555555555';
const effect = createEffect([]);
let pool: string;
let staged: string;
let shown: Progress[];
const show: Show = (details) => shown.push(details as Progress);

beforeEach(async () => {
  pool = await realpath(await mkdtemp(join(tmpdir(), 'blockflow-progress-')));
  staged = join(pool, '.blockflow', JOB);
  await mkdir(staged, { recursive: true });
  shown = [];
});
afterEach(() => rm(pool, { recursive: true }));

const run = <T>(activity: () => Promise<T>) => new MockActivityEnvironment().run(activity);

it('beats with what is shown, and before that it is at work', async () => {
  const environment = new MockActivityEnvironment();
  const beats: unknown[] = [];
  environment.on('heartbeat', (details) => beats.push(details));
  const activity = attempt(async (input: string, tell) => {
    await once(environment, 'heartbeat');
    tell({ phase: input, percent: 1 });
    tell({ phase: input, percent: 2 });
    await once(environment, 'heartbeat');
  }, 'while working');
  await environment.run(activity, 'verifying');
  const phase = 'verifying';
  // The first at once, the next when its second is over.
  expect(beats).toEqual([{ phase: 'working' }, { phase, percent: 1 }, { phase, percent: 2 }]);
});

it('tells how much of the data of all volumes is compared', async () => {
  const [base, top] = [join(pool, 'base.raw'), join(pool, 'top.raw')];
  for (const path of [base, top, join(staged, 'top.raw.copied')]) {
    await writeFile(path, Buffer.alloc(48 * MIB, 1));
  }
  const volume = { format: 'raw', convert: null, allocatedBytes: 48 * MIB } as const;
  const volumes = [
    { ...volume, path: base, name: 'base.raw', sizeBytes: 2 ** 40 },
    { ...volume, path: top, name: 'top.raw', sizeBytes: 48 * MIB },
  ];
  const plan = { to: { pool: 'other', folder: pool }, volumes };
  const job = { plan: plan as unknown as ImagePlan, jobId: JOB, at: 1 };
  expect(await run(() => ensureVolumeVerified({ effect } as HostDeps, job, show))).toEqual({
    same: true,
    reason: 'compared',
  });
  const percents = shown.map(({ percent }) => percent);
  expect([percents[0], percents.at(-1)]).toEqual([50, 100]);
  expect(percents.length).toBeGreaterThan(10);
  expect(percents).toEqual([...percents].sort((a, b) => a - b));
  expect(shown.at(-1)).toMatchObject({ phase: 'verifying', totalBytes: 96 * MIB });
});

it('tells how much of the data is overwritten; holes do not count', async () => {
  const path = join(pool, 'old.raw');
  await writeFile(path, Buffer.alloc(3 * MIB, 1));
  await truncate(path, 64 * MIB);
  const poolXml = () => Promise.resolve([dirPoolXml('images', pool)]);
  const allDomainXml = () => Promise.resolve([]);
  const libvirt = { poolXml, allDomainXml } as unknown as Libvirt;
  const deps = { effect, libvirt };
  await givePoolId(pool);
  const identity = await idInPool(path);
  const input = { jobId: JOB, volumes: [{ path, pool: 'images', identity }] };
  await run(() => ensureVolumesWiped(deps, input, show));
  expect(shown.map(({ copiedBytes }) => copiedBytes / MIB)).toEqual([1, 2, 3]);
  expect(shown.at(-1)).toMatchObject({ phase: 'wiping', percent: 100, totalBytes: 3 * MIB });
});
