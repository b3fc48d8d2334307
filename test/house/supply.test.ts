/** What is downloaded is what was meant: the lock file, and the programs that set-up fetches. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { fetchPinned } from '../../setup/pinned.mjs';
import {
  fallbackTemporalVersion,
  temporalVersion,
} from '../../worker/environment/temporal-search.mjs';

const root = new URL('../../', import.meta.url);
const read = (name: string) => readFile(fileURLToPath(new URL(name, root)), 'utf8');

interface Entry {
  version: string;
  integrity?: string;
  hasInstallScript?: boolean;
  optional?: boolean;
  link?: boolean;
}
const entries = async () => {
  const { packages } = JSON.parse(await read('package-lock.json')) as {
    packages: Record<string, Entry>;
  };
  return Object.entries(packages).filter(([path, { link }]) => path !== '' && !link);
};

it('every entry of the lock file has the hash of its archive', async () => {
  const fetched = (await entries()).filter(([path]) => path.includes('node_modules/'));
  const bare = fetched.filter(([, { integrity }]) => !integrity?.startsWith('sha512-'));
  expect(bare.map(([path, { version }]) => `${path} ${version}`)).toEqual([]);
});

it('set-up installs without a package that must run a program of its own', async () => {
  const scripts = (await entries()).filter(([, { hasInstallScript }]) => hasInstallScript);
  // Each has what it needs without: a hint, a check, a build where no binary is shipped.
  expect(scripts.map(([path]) => path.replace(/^.*node_modules\//, '')).sort()).toEqual([
    '@parcel/watcher',
    '@swc/core',
    'protobufjs',
  ]);
  expect(await read('setup/npm-packages.mjs')).toContain(`'ci', '--ignore-scripts'`);
});

it('Node for the tests is an entry of the lock file for each processor', async () => {
  const all = new Map(await entries());
  for (const cpu of ['x64', 'arm64']) {
    const node = all.get(`node_modules/node-linux-${cpu}`);
    expect(node).toMatchObject({ version: all.get('setup/node')?.version, optional: true });
  }
});

it.each([temporalVersion, fallbackTemporalVersion])(
  'the Go build of the Temporal server %s takes modules of a known hash only',
  async (version) => {
    const [mod, sum] = await Promise.all(
      ['go.mod', 'go.sum'].map((name) => read(`setup/temporal/${version}/${name}`)),
    );
    expect(mod).toContain(`require github.com/temporalio/cli v${version}\n`);
    // A module that another takes the place of is named by that one.
    const named = [...(mod ?? '').matchAll(/^(?:\t|require |.* => )(\S+) (v\S+)/gm)];
    const hashed = named.filter(([, name, at]) => sum?.includes(`${name} ${at} h1:`));
    const bare = named.filter((one) => !hashed.includes(one)).map(([, name]) => name);
    expect(bare.filter((name) => name !== 'github.com/temporalio/cli/cliext')).toEqual([]);
    expect(hashed.length).toBeGreaterThan(150);
    expect(await read('setup/temporal-server.mjs')).toContain('-mod=readonly');
  },
);

describe('A program that set-up downloads', () => {
  const content = 'a program';
  const right = createHash('sha256').update(content).digest('hex');
  let server: Server;
  let folder: string;
  const fetched = () => join(folder, 'program');
  const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'blockflow-supply-'));
    server = createServer((_, response) => response.end(content)).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterAll(async () => {
    server.close();
    await rm(folder, { recursive: true });
  });

  it('is used with the hash that the tree names', async () => {
    await fetchPinned(url(), fetched(), right);
    expect(await readFile(fetched(), 'utf8')).toBe(content);
  });

  it('is refused with another one', async () => {
    const other = right.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
    const words = `has the SHA-256 ${right}, and not ${other}: it is not used`;
    await expect(fetchPinned(url(), fetched(), other)).rejects.toThrow(words);
  });
});
