/**
 * The SPM agent believes no proof but its own: right before it deletes, it looks once more who uses
 * the file. Real files, the real activities.
 */
import { link, mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { execa } from 'execa';
import type { Libvirt } from '../../../activities/adapters/virsh/domains.ts';
import { createEffect } from '../../../activities/door/effect.ts';
import { createStorageActivities } from '../../../activities/storage/index.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { dirPoolXml, givePoolId, idInPool, stubTool } from '../../support/scenes/stubbed-pool.ts';

const JOB = '11111111-2222-4333-8444-555555555555';
const PATH = process.env['PATH'];
let root: string;
let pool: string;
let effects: string[];
/** As libvirt has them. */
let domains: { uuid: string; name: string; xml: string; unread: null }[];

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'blockflow-holders-')));
  pool = join(root, 'pool');
  [effects, domains] = [[], []];
  for (const folder of ['pool', 'bin']) await mkdir(join(root, folder));
  await givePoolId(pool);
  await writeFile(join(pool, 'a.qcow2'), 'a'.repeat(8192));
  await stubTool(join(root, 'bin'), 'qemu-io', 'exit 0');
  process.env['PATH'] = `${join(root, 'bin')}:${PATH}`;
});
afterEach(async () => {
  process.env['PATH'] = PATH;
  await rm(root, { recursive: true });
});

const libvirt = {
  poolXml: () => Promise.resolve([dirPoolXml('images', pool)]),
  refreshPoolSoon: () => Promise.resolve(''),
  allDomainXml: () => Promise.resolve(domains),
} as unknown as Libvirt;

type Name = keyof ReturnType<typeof createStorageActivities>;
/** Runs an activity as the agent does; null when it was done, else its failure. */
async function run(name: Name, input: unknown) {
  const effect = createEffect([(effectName, _target, fn) => (effects.push(effectName), fn())]);
  const activity = createStorageActivities({ libvirt, effect })[name] as (i: unknown) => unknown;
  const environment = new MockActivityEnvironment();
  const failed = (error: unknown) => failureDetails(error) ?? { type: String(error) };
  return environment.run(async () => void (await activity(input))).then(() => null, failed);
}

const volume = async (path: string) => ({ path, pool: 'images', identity: await idInPool(path) });

describe('The SPM agent proves itself, right before it deletes, that', () => {
  const copied = async () => {
    const to = { pool: 'images', folder: pool, identity: await idInPool(pool) };
    await mkdir(join(pool, '.blockflow', JOB), { recursive: true });
    await writeFile(join(pool, 'x'), 'x');
    await link(join(pool, 'x'), join(pool, '.blockflow', JOB, 'x.ready'));
    const copies = { jobId: JOB, to, targets: 'delete', owners: null };
    return ['ensureReservationAbsent', copies] as [Name, object];
  };
  const deletions: Record<string, () => Promise<[Name, object]>> = {
    'a volume': async () => [
      'ensureVolumesAbsent',
      { jobId: JOB, volumes: [await volume(join(pool, 'a.qcow2'))] },
    ],
    'what is wiped': async () => [
      'ensureVolumesWiped',
      { jobId: JOB, volumes: [await volume(join(pool, 'a.qcow2'))] },
    ],
    'a copy that has its name': copied,
  };

  it.each(Object.entries(deletions))('no VM has %s', async (_, deletion) => {
    const [name, input] = await deletion();
    const file = name === 'ensureReservationAbsent' ? 'x' : 'a.qcow2';
    const source = `<source file='${join(pool, file)}'/><target dev='vda'/>`;
    const disk = `<disk type='file' device='disk'>${source}</disk>`;
    const xml = `<domain><name>web</name><devices>${disk}</devices></domain>`;
    domains = [{ uuid: JOB, name: 'web', xml, unread: null }];
    const details = { code: 'unproven', now: expect.stringMatching('VM web uses') as unknown };
    expect(await run(name, input)).toMatchObject({ type: 'Hold', details });
    expect([effects, await readdir(pool)]).toEqual([[], expect.arrayContaining([file])]);
  });

  it.each(Object.entries(deletions))('no chain stands on %s', async (_, deletion) => {
    const [name, input] = await deletion();
    const file = name === 'ensureReservationAbsent' ? 'x' : 'a.qcow2';
    const over = ['create', '-q', '-f', 'qcow2', '-u', '-b', join(pool, file), '-F', 'raw'];
    await execa('qemu-img', [...over, join(pool, 'clone'), '1M'], { env: { PATH } });
    const details = { code: 'unproven', now: expect.stringMatching('clone stands on') as unknown };
    expect(await run(name, input)).toMatchObject({ type: 'Hold', details });
    expect([effects, await readdir(pool)]).toEqual([[], expect.arrayContaining([file])]);
  });

  it('no process has open a copy that has its name', async () => {
    const [name, input] = await copied();
    await stubTool(join(root, 'bin'), 'qemu-io', 'echo \'Failed to get "write" lock\' >&2; exit 1');
    expect(await run(name, input)).toMatchObject({ details: { code: 'unproven' } });
    expect(effects).toEqual([]);
  });

  it.each(Object.entries(deletions))('and deletes %s that nothing needs', async (_, deletion) => {
    const [name, input] = await deletion();
    expect(await run(name, input)).toBeNull();
    expect(effects).not.toEqual([]);
  });
});
