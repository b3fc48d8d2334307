/**
 * The SPM agent believes no proof but its own: right before it deletes, it looks once more who uses
 * the file. Real files, the real activities.
 */
import { link, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { execa } from 'execa';
import { observeFile } from '../../../activities/adapters/files/files.ts';
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

/** A revert that has made its record switch from `a.qcow2`, as its note says. */
async function reverted() {
  const to = { pool: 'images', folder: pool, identity: await idInPool(pool) };
  const layer = async (name: string) => ({
    ...{ volume: await volume(join(pool, name)), format: 'raw', to },
  });
  const folder = join(pool, '.blockflow', JOB);
  await mkdir(folder, { recursive: true });
  await writeFile(join(pool, 'b.qcow2'), 'b');
  const [from, overlay] = [await layer('a.qcow2'), await layer('b.qcow2')];
  const disks = [{ disk: 'vda', from, to: overlay, below: [] }];
  const change = { vm: 'web', vmUuid: JOB, disks, current: { from: null, to: null } };
  const time = '2026-12-02T12:00:00Z';
  const note = { jobId: JOB, owner: JOB, workflow: 'web', time, state: { phase: 'kept', change } };
  await writeFile(join(folder, `${JOB}.json`), JSON.stringify(note));
  return { to, note, expiry: { jobId: JOB, owner: JOB, to, volumes: [from.volume] } };
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
    'what a revert has left': async () => {
      const { to, note } = await reverted();
      return ['ensureLayersRetired', { to, note }];
    },
  };

  it.each(Object.entries(deletions))('no VM has %s', async (_, deletion) => {
    const [name, input] = await deletion();
    const file = name === 'ensureReservationAbsent' ? 'x' : 'a.qcow2';
    defineOn(join(pool, file));
    const details = { code: 'unproven', now: expect.stringMatching('VM web uses') as unknown };
    expect(await run(name, input)).toMatchObject({ type: 'Hold', details });
    expect([effects, await readdir(pool)]).toEqual([[], expect.arrayContaining([file])]);
  });

  it.each(Object.entries(deletions))('no chain stands on %s', async (_, deletion) => {
    const [name, input] = await deletion();
    const file = name === 'ensureReservationAbsent' ? 'x' : 'a.qcow2';
    await cloneOf(pool, join(pool, file));
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

describe('What a revert has left has no name, and is kept', () => {
  const original = () => join(pool, 'a.qcow2');
  const quarantined = () => join(pool, '.blockflow', `${JOB}-a.qcow2`);
  let expiry: object;
  beforeEach(async () => {
    const { to, note, expiry: input } = await reverted();
    expiry = input;
    expect(await run('ensureLayersRetired', { to, note })).toBeNull();
    expect(await exists(original())).toBe(false);
    effects = [];
  });

  const named: Record<string, () => Promise<unknown>> = {
    'a VM': () => Promise.resolve(defineOn(original())),
    'a VM by a folder that is a link': async () => {
      await symlink(pool, join(root, 'linked'));
      defineOn(join(root, 'linked/a.qcow2'));
    },
    'a VM by a link': async () => {
      await symlink(original(), join(root, 'link'));
      defineOn(join(root, 'link'));
    },
    'a VM whose image stands on it': async () => defineOn(await cloneOf(root, original())),
    'a chain by its path': () => cloneOf(pool, original()),
    'a chain by its name': () => cloneOf(pool, 'a.qcow2'),
  };
  it.each(Object.entries(named))('while %s names what it was', async (_, name) => {
    await name();
    const details = { code: 'unproven' };
    expect(await run('ensureRetiredAbsent', expiry)).toMatchObject({ type: 'Hold', details });
    expect([effects, await exists(quarantined())]).toEqual([[], true]);
  });

  it('no longer, once another file has that name', async () => {
    defineOn(original());
    await cloneOf(pool, original());
    await writeFile(original(), 'another');
    expect(await run('ensureRetiredAbsent', expiry)).toBeNull();
    expect([await exists(quarantined()), await exists(original())]).toEqual([false, true]);
  });
});

const exists = async (path: string) => (await observeFile(path)) !== null;

async function cloneOf(folder: string, backing: string): Promise<string> {
  const clone = join(folder, 'clone');
  const over = ['create', '-q', '-f', 'qcow2', '-u', '-b', backing, '-F', 'raw'];
  await execa('qemu-img', [...over, clone, '1M'], { env: { PATH } });
  return clone;
}

function defineOn(path: string): void {
  const source = `<source file='${path}'/><target dev='vda'/>`;
  const disk = `<disk type='file' device='disk'>${source}</disk>`;
  const xml = `<domain><name>web</name><devices>${disk}</devices></domain>`;
  domains = [{ uuid: JOB, name: 'web', xml, unread: null }];
}
