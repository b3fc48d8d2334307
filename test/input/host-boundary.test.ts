/**
 * I16 on a hypervisor: whatever plan a host agent is given, it acts on nothing that its own libvirt
 * and file system do not allow. Generated for every activity with effects that names files.
 */
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readFile,
  realpath,
  rename,
  rm,
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
import { filesOf } from '../../activities/door/files-of.ts';
import type { HostDeps } from '../../activities/host/deps.ts';
import { createHostActivities } from '../../activities/host/index.ts';
import { failureDetails } from '../../workflows/operation/failures.ts';
import type { Declaration } from '../../workflows/operation/activities.ts';
import { seed } from '../support/sample.ts';
import { dirPoolXml } from '../support/scenes/stubbed-pool.ts';
import { tables, type Schema } from '../support/tables.ts';
import { createChance } from './hostile.ts';
import { validValue } from './valid-values.ts';
import { freeTurns } from '../support/simulator/free-turns.ts';

const JOB = '3f0c1d2e-8a7b-4c5d-9e6f-001122334455';
const STRANGER = 65534;
const HOST = 'h1';
let root: string;
let pool: string;
let effects: string[];
let asked: string[];

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'blockflow-host-boundary-')));
  pool = join(root, 'pool');
  [effects, asked] = [[], []];
  for (const folder of ['pool', `pool/.blockflow`, `pool/.blockflow/${JOB}`, 'outside']) {
    await mkdir(join(root, folder), { mode: 0o711 });
  }
  await writeFile(join(root, 'outside/secret'), 'secret', { mode: 0o600 });
  await writeFile(join(pool, 'a.qcow2'), 'a');
  await symlink(join(root, 'outside/secret'), join(pool, 'link'));
  await execa('mkfifo', [join(pool, 'fifo')]);
});
afterEach(() => rm(root, { recursive: true }));

/** Knows the pool, and fails at every other question. */
const libvirt = new Proxy({} as Libvirt, {
  get(_, question: string) {
    asked.push(question);
    if (question === 'poolXml') return () => Promise.resolve([dirPoolXml('images', pool)]);
    return () => Promise.reject(new Error(`asked for ${question}`));
  },
});
const nowhere = { watch: {}, pivots: {} } as Pick<HostDeps, 'watch' | 'pivots'>;

/** Runs an activity as the agent does; its failure, null when it was done. */
async function run(name: string, input: unknown) {
  const effect: HostDeps['effect'] = (effectName) => {
    effects.push(effectName);
    return Promise.reject(new Error('an effect'));
  };
  const dirs = { runtimeDir: join(root, 'run'), stateDir: join(root, 'state') };
  const activities = createHostActivities({
    host: HOST,
    machine: 'm1',
    installation: '',
    libvirt,
    effect,
    turns: freeTurns(),
    ...dirs,
    ...nowhere,
  });
  const activity = (activities as unknown as Record<string, (i: unknown) => Promise<unknown>>)[
    name
  ];
  const environment = new MockActivityEnvironment(undefined, {
    logger: new DefaultLogger('ERROR'),
  });
  const failed = (error: unknown) => failureDetails(error) ?? { type: String(error) };
  return environment.run(async () => void (await activity?.(input))).then(() => null, failed);
}

const acting = Object.entries(tables.host as Record<string, Declaration>).filter(
  ([name, { files }]) => name.startsWith('ensure') && files !== 'only compared',
);

interface Place {
  volume: string;
  folder: string;
  host?: string;
}

/** Valid inputs of it, with this for each path, for each folder of a pool, and for each host. */
function inputsOf(
  { input: schema }: Declaration,
  { volume, folder, host = HOST }: Place,
): unknown[] {
  const chance = createChance(seed);
  const place = (value: unknown, key = ''): unknown => {
    if (typeof value === 'string' && value.startsWith('/')) {
      return key === 'folder' ? folder : volume;
    }
    if (key === 'jobId') return JOB;
    if (key === 'host') return host;
    if (Array.isArray(value)) return value.map((each) => place(each));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, place(one, name)]));
  };
  return Array.from({ length: 5 }, () => place(validValue(schema as Schema, chance)));
}

/** Whether any of its inputs names one. */
const names = (declared: Declaration, which: 'volumes' | 'folders' | 'hosts') =>
  inputsOf(declared, { volume: '/v', folder: '/f' }).some(
    (input) => filesOf(declared.input, input)[which].length > 0,
  );

async function expectRefused(name: string, declared: Declaration, volume: string, folder: string) {
  const before = await readFile(join(root, 'outside/secret'), 'utf8');
  for (const input of inputsOf(declared, { volume, folder })) {
    const failure = await run(name, input);
    expect(failure).toMatchObject({ type: 'Hold', details: { code: 'unproven' } });
  }
  expect(effects).toEqual([]);
  // Nothing but the pools was even looked at.
  expect(new Set(asked)).toEqual(new Set(['poolXml']));
  expect(await readFile(join(root, 'outside/secret'), 'utf8')).toBe(before);
}

const good = () => join(pool, 'a.qcow2');

describe.each(acting.filter(([, declared]) => names(declared, 'volumes')))(
  '%s touches nothing',
  (name, declared) => {
    const volumes: Record<string, () => string> = {
      'a path outside of pools': () => join(root, 'outside/secret'),
      'a link in a pool': () => join(pool, 'link'),
      'a fifo in a pool': () => join(pool, 'fifo'),
      'the folder of a pool': () => pool,
      'what is in a folder of ours': () => join(pool, '.blockflow/id'),
    };
    it.each(Object.entries(volumes))('for %s', async (_, volume) => {
      await expectRefused(name, declared, volume(), pool);
    });

    it('and refuses nothing that is in its place', async () => {
      for (const input of inputsOf(declared, { volume: good(), folder: pool })) {
        const failure = await run(name, input);
        expect(failure ?? {}).not.toMatchObject({ details: { code: 'unproven' } });
      }
    });
  },
);

describe.each(acting.filter(([, declared]) => names(declared, 'folders')))(
  '%s touches nothing',
  (name, declared) => {
    it('for a folder that is no pool', async () => {
      await expectRefused(name, declared, good(), join(root, 'outside'));
    });

    const own = () => join(pool, '.blockflow');
    const changes: Record<string, () => Promise<unknown>> = {
      'a link': () => rename(own(), join(root, 'moved')).then(() => symlink(root, own())),
      "another user's": () => chown(own(), STRANGER, STRANGER),
      'a folder that others may write in': () => chmod(own(), 0o777),
    };
    it.each(Object.entries(changes))('where .blockflow is %s', async (_, change) => {
      await change();
      await expectRefused(name, declared, good(), pool);
    });

    it("where the job's folder is another user's", async () => {
      await chown(join(own(), JOB), STRANGER, STRANGER);
      const all = inputsOf(declared, { volume: good(), folder: pool }) as { jobId?: string }[];
      if (all.some(({ jobId }) => jobId === undefined)) return;
      await expectRefused(name, declared, good(), pool);
    });
  },
);

/** All but those that name none: they are asked by the queue alone. */
const ofHosts = Object.entries(tables.host as Record<string, Declaration>).filter(([, declared]) =>
  names(declared, 'hosts'),
);
it.each(ofHosts)('%s does nothing for another host', async (name, declared) => {
  for (const input of inputsOf(declared, { volume: good(), folder: pool, host: 'h2' })) {
    if (filesOf(declared.input, input).hosts.length === 0) continue;
    const failure = await run(name, input);
    const now = expect.stringMatching(/^it is about host h2, and came to the agent of h1;/);
    expect(failure).toMatchObject({ type: 'Hold', details: { code: 'unproven', now } });
  }
  expect([effects, asked]).toEqual([[], []]);
});

it('is generated for more than twenty activities', () => {
  expect(acting.length).toBeGreaterThan(20);
  expect(ofHosts.length).toBeGreaterThan(20);
});
