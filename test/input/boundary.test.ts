/**
 * I16: whatever names, links and ids say, nothing outside of the pool is renamed, unlinked or
 * written. Real files, the real activities of the SPM agent.
 */
import {
  chmod,
  chown,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { execa } from 'execa';
import type { Libvirt } from '../../activities/adapters/virsh/domains.ts';
import { createEffect } from '../../activities/door/effect.ts';
import { createStorageActivities } from '../../activities/storage/index.ts';
import { failureDetails } from '../../workflows/operation/failures.ts';
import type { ImagePlan } from '../../workflows/transfer/plan.ts';
import {
  dirPoolXml,
  givePoolId,
  idInPool,
  POOL_ID,
  stubTool,
} from '../support/scenes/stubbed-pool.ts';

const JOB = '11111111-2222-4333-8444-555555555555';
const PATH = process.env['PATH'];
let root: string;
let pool: string;
let secret: string;
let effects: string[];
let isActive: boolean;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'blockflow-boundary-')));
  pool = join(root, 'pool');
  effects = [];
  isActive = true;
  for (const folder of ['pool', 'pool/folder', 'outside', 'bin']) await mkdir(join(root, folder));
  await givePoolId(pool);
  secret = join(root, 'outside/secret');
  await writeFile(secret, 'secret'.repeat(1000));
  await writeFile(join(pool, 'a.qcow2'), 'a'.repeat(8192));
  // No process has anything open; a map that says everything is data, so that a wipe would hurt.
  const map = '[{"start":0,"length":8192,"data":true}]';
  for (const [tool, script] of [
    ['qemu-io', 'exit 0'],
    ['qemu-img', `echo '${map}'`],
  ] as const) {
    await stubTool(join(root, 'bin'), tool, script);
  }
  process.env['PATH'] = `${join(root, 'bin')}:${PATH}`;
});
afterEach(async () => {
  process.env['PATH'] = PATH;
  await rm(root, { recursive: true });
});

const libvirt = {
  poolXml: () => Promise.resolve(isActive ? [dirPoolXml('images', pool)] : []),
  refreshPoolSoon: () => Promise.resolve(''),
  allDomainXml: () => Promise.resolve([]),
} as unknown as Libvirt;

type Name = keyof ReturnType<typeof createStorageActivities>;
/** Runs an activity as the agent does; null when it was done, else its failure. */
async function run(name: Name, input: unknown) {
  const effect = createEffect([(effectName, _target, fn) => (effects.push(effectName), fn())]);
  const activity = createStorageActivities({ libvirt, effect })[name] as (i: unknown) => unknown;
  const logger = new DefaultLogger('ERROR');
  const environment = new MockActivityEnvironment(undefined, { logger });
  const failed = (error: unknown) => failureDetails(error) ?? { type: String(error) };
  return environment.run(async () => void (await activity(input))).then(() => null, failed);
}

/** Names and contents of everything outside of the pool. */
async function outside(): Promise<string> {
  const names = (await readdir(join(root, 'outside'), { recursive: true })).sort();
  return [...names, await readFile(secret, 'utf8'), (await stat(secret)).ino].join('\n');
}

const volume = async (path: string) => ({ path, pool: 'images', identity: await idInPool(path) });

describe.each(['ensureVolumesAbsent', 'ensureVolumesWiped'] as const)('%s', (name) => {
  const paths: Record<string, () => string> = {
    'a path outside': () => secret,
    'a path that leaves by ..': () => `${pool}/../outside/secret`,
    'a path that leaves and comes back': () => `${root}/outside/../pool/a.qcow2`,
    'a path with //': () => `${pool}//a.qcow2`,
    'a file in a folder of the pool': () => join(pool, 'folder/b'),
    'a device': () => join(root, 'outside/device'),
    'the pool itself': () => pool,
    'a link that leaves the pool': () => join(pool, 'link'),
    'a link within the pool': () => join(pool, 'inner'),
    'a folder that is a link': () => join(pool, 'linked/secret'),
    'a file of ours': () => join(pool, '.blockflow/lease'),
  };
  it.each(Object.keys(paths))('touches nothing for %s', async (what) => {
    await writeFile(join(pool, 'folder/b'), 'b');
    // As /dev/null, which an agent that goes out of its pool would delete for the whole machine.
    await execa('mknod', [join(root, 'outside/device'), 'c', '1', '3']);
    await symlink(secret, join(pool, 'link'));
    await symlink(join(pool, 'a.qcow2'), join(pool, 'inner'));
    await symlink(join(root, 'outside'), join(pool, 'linked'));
    const before = [await outside(), await readdir(pool)];
    const path = paths[what]?.() ?? '';
    const failure = await run(name, { jobId: JOB, volumes: [await volume(path)] });
    expect(failure).toMatchObject({ type: 'Bug' });
    expect([await outside(), await readdir(pool), ...effects]).toEqual(before);
  });

  it('touches nothing when its own folder was replaced by a link', async () => {
    const [own, moved] = [join(pool, '.blockflow'), join(root, 'outside/moved')];
    await rename(own, moved);
    await symlink(moved, own);
    const before = await outside();
    const volumes = [await volume(join(pool, 'a.qcow2'))];
    expect(await run(name, { jobId: JOB, volumes })).toMatchObject({ type: 'Hold' });
    expect([await outside(), effects]).toEqual([before, []]);
  });

  it('does its work on a file of the pool', async () => {
    const volumes = [await volume(join(pool, 'a.qcow2'))];
    expect(await run(name, { jobId: JOB, volumes })).toBeNull();
    expect(effects[0]).toBe('storage.quarantine-volume');
  });
});

it('never wipes a file that has another name, perhaps outside of the pool', async () => {
  await link(secret, join(pool, 'hard.raw'));
  const before = await outside();
  const volumes = [await volume(join(pool, 'hard.raw'))];
  expect(await run('ensureVolumesWiped', { jobId: JOB, volumes })).toMatchObject({ type: 'Hold' });
  expect([await outside(), effects]).toEqual([before, []]);
  // Deleting takes only the name that is in the pool.
  expect(await run('ensureVolumesAbsent', { jobId: JOB, volumes })).toBeNull();
  expect(await outside()).toBe(before);
});

const planFor = (folder: string, name: string): ImagePlan => ({
  host: 'h1',
  vm: null,
  to: { pool: 'images', folder, identity: `${POOL_ID}:2` },
  snapshots: [],
  adopted: null,
  usedLeftovers: [],
  sharedWith: [],
  totalBytes: 0,
  spaceNeededBytes: 0,
  spaceFreeBytes: 0,
  leftovers: [],
  switched: false,
  live: null,
  verify: 'full',
  elsewhere: [],
  volumes: [
    {
      path: '/x/a.qcow2',
      pool: 'other',
      format: 'qcow2',
      identity: '1:2',
      sizeBytes: 0,
      allocatedBytes: 0,
      modifiedNs: '0',
      name,
      rebase: null,
      convert: null,
    },
  ],
});

const OWNER = '22222222-2222-4333-8444-555555555555';
/** What the SPM agent is asked to do with the copies of a plan. */
const stepsOf = (plan: ImagePlan): [Name, object][] => [
  ['ensureImageReserved', { jobId: JOB, owner: OWNER, workflow: 'w', plan }],
  ['ensureImageNamed', { jobId: JOB, plan }],
  ['ensureReservationAbsent', { jobId: JOB, to: plan.to, targets: 'delete', owners: null }],
];

describe('The reservation of a copy', () => {
  const names = ['../../outside/x', '..', '/etc/x', 'a/b', 'x\0', ''];
  it.each(names)('is not made under the name %j', async (name) => {
    const before = await outside();
    for (const [activity, input] of stepsOf(planFor(pool, name)).slice(0, 2)) {
      const now: unknown = expect.stringMatching('is not a file name');
      expect(await run(activity, input)).toMatchObject({ type: 'Bug', details: { now } });
    }
    expect([await outside(), effects]).toEqual([before, []]);
  });

  it('is in the folder of its pool, and in no other', async () => {
    const before = await outside();
    for (const [activity, input] of stepsOf(planFor(join(root, 'outside'), 'x'))) {
      const now: unknown = expect.stringMatching('is not at');
      expect(await run(activity, input)).toMatchObject({ type: 'Bug', details: { now } });
    }
    expect([await outside(), effects]).toEqual([before, []]);
  });

  it('follows no link that stands in its place', async () => {
    await symlink(join(root, 'outside'), join(pool, '.blockflow', JOB));
    const before = await outside();
    const [reserve, , remove] = stepsOf(planFor(pool, 'x'));
    for (const [activity, input] of [reserve, remove] as [Name, object][]) {
      const now: unknown = expect.stringMatching('is a link');
      expect(await run(activity, input)).toMatchObject({ type: 'Hold', details: { now } });
    }
    expect([await outside(), effects]).toEqual([before, []]);
  });

  const own = () => join(pool, '.blockflow');
  const strangers: Record<string, () => Promise<unknown>> = {
    'in a folder of another user': () => chown(own(), 65534, 65534),
    'in a folder that others may write in': () => chmod(own(), 0o1777),
    "in another user's folder of the job": () => chown(join(own(), JOB), 65534, 65534),
  };
  it.each(Object.entries(strangers))('is not made, named or removed %s', async (_, change) => {
    await mkdir(join(own(), JOB), { recursive: true });
    await writeFile(join(own(), JOB, 'x.ready'), 'x');
    await change();
    const identity = await idInPool(pool);
    const plan = { ...planFor(pool, 'x'), to: { pool: 'images', folder: pool, identity } };
    const isMine = join(own(), JOB);
    const before = [await outside(), await readdir(isMine)];
    const unproven = { type: 'Hold', details: { code: 'unproven' } };
    for (const [activity, input] of stepsOf(plan)) {
      expect(await run(activity, input)).toMatchObject(unproven);
    }
    expect([[await outside(), await readdir(isMine)], effects]).toEqual([before, []]);
  });
});

it('No overlay is made in a folder that only a disk of its plan names', async () => {
  const to = { pool: 'images', folder: pool, identity: await idInPool(pool) };
  const theirs = { ...to, folder: join(root, 'outside') };
  const base = await volume(join(pool, 'a.qcow2'));
  const disks = Object.entries({ vda: to, vdb: theirs }).map(([disk, target]) => ({
    ...{ disk, base, baseFormat: 'qcow2', virtualSizeBytes: 0, clusterBytes: null },
    ...{ extendedL2: false, to: target, name: disk, backingName: join(pool, 'a.qcow2') },
  }));
  await mkdir(join(theirs.folder, '.blockflow', JOB), { recursive: true });
  await symlink(secret, join(theirs.folder, '.blockflow', JOB, 'vdb.part'));
  await stubTool(join(root, 'bin'), 'qemu-img', 'echo written > "${@: -2:1}"');
  const before = await outside();
  const vm = { vm: 'web', vmUuid: JOB, host: 'h1', snapshot: 's1', warnings: [], left: [] };
  const facts = { persistent: true, running: false, description: '', createdAt: 0, quiesce: 'no' };
  const owned = { jobId: JOB, owner: OWNER, workflow: 'w', pool: 'images' };
  const input = { ...owned, snapshot: { ...vm, ...facts, disks } };
  expect(await run('ensureOverlaysCreated', input)).toMatchObject({ type: 'Bug' });
  expect([await outside(), effects]).toEqual([before, []]);
});

describe('A pool that is not active', () => {
  it('is waited for by every step, which changes nothing', async () => {
    isActive = false;
    const before = [await outside(), await readdir(pool)];
    const volumes = { jobId: JOB, volumes: [await volume(join(pool, 'a.qcow2'))] };
    for (const [activity, input] of [
      ...stepsOf(planFor(pool, 'x')),
      ...[
        ['ensureVolumesAbsent', volumes],
        ['ensureVolumesWiped', volumes],
      ],
    ] as [Name, object][]) {
      const away = { type: 'Retry', details: { code: 'pool-away' } };
      expect(await run(activity, input)).toMatchObject(away);
    }
    expect([[await outside(), await readdir(pool)], effects]).toEqual([before, []]);
  });
});
