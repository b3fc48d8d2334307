/** What is downloaded is what was meant: the lock file, and the programs that set-up fetches. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';

const root = new URL('../../', import.meta.url);
const read = (name: string) => readFile(fileURLToPath(new URL(name, root)), 'utf8');

interface Entry {
  version: string;
  integrity?: string;
  hasInstallScript?: boolean;
  link?: boolean;
}
const entries = async () => {
  const { packages } = JSON.parse(await read('package-lock.json')) as {
    packages: Record<string, Entry>;
  };
  return Object.entries(packages).filter(([path, { link }]) => path !== '' && !link);
};

it('every entry of the lock file has the hash of its archive', async () => {
  const bare = (await entries()).filter(([, { integrity }]) => !integrity?.startsWith('sha512-'));
  expect(bare.map(([path, { version }]) => `${path} ${version}`)).toEqual([]);
});

it('no package runs a program at its installation but those that are named here', async () => {
  const scripts = (await entries()).filter(([, { hasInstallScript }]) => hasInstallScript);
  expect(scripts.map(([path]) => path.replace(/^.*node_modules\//, '')).sort()).toEqual([
    '@parcel/watcher',
    '@swc/core',
    'node',
    'protobufjs',
  ]);
});
