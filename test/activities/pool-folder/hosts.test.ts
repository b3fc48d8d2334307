/** Hosts of one name are told apart by their machines. */
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { namesakeIn, observeHosts, registerHost } from '../../../activities/pool-folder/hosts.ts';
import { otherHosts } from '../../../activities/host/uses/observe-uses.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';

let pool: string;
beforeEach(async () => (pool = await mkdtemp(join(tmpdir(), 'blockflow-hosts-'))));
afterEach(() => rm(pool, { recursive: true }));

const debian = (machine: string, installation = '') => ({ host: 'debian', machine, installation });
const file = () => join(pool, '.blockflow/hosts/debian');

it('a name is registered with its machine, once', async () => {
  await registerHost(pool, debian('m1'));
  expect(await readFile(file(), 'utf8')).toBe('m1\n');
  const { ino } = await stat(file());
  await registerHost(pool, debian('m1'));
  expect((await stat(file())).ino).toBe(ino);
  expect(await observeHosts(pool)).toEqual(['debian']);
  expect(await namesakeIn(pool, debian('m1'))).toBeNull();
});

it('another machine of that name is refused, and changes nothing', async () => {
  await registerHost(pool, debian('m1'));
  await expect(registerHost(pool, debian('m2'))).rejects.toThrow(/m1 is called debian.*--host/s);
  expect(await readFile(file(), 'utf8')).toBe('m1\n');
});

it('a machine whose namesake would not be asked plans no deletion', async () => {
  await registerHost(pool, debian('m1'));
  await registerHost(pool, { host: 'other', machine: 'm3', installation: '' });
  const volumes = [{ path: join(pool, 'a.qcow2') }];
  expect(await otherHosts(debian('m1'), volumes)).toEqual(['other']);
  const error: unknown = await otherHosts(debian('m2'), volumes).catch((e: unknown) => e);
  const details = { code: 'other-machine' };
  expect(failureDetails(error)).toMatchObject({ type: 'Refused', details });
});

it('a host that shares a pool with another installation plans no deletion there', async () => {
  const volumes = [{ path: join(pool, 'a.qcow2') }];
  await registerHost(pool, { host: 'other', machine: 'm3', installation: 'n1' });
  expect(await otherHosts(debian('m1', 'n1'), volumes)).toEqual(['other']);
  const error: unknown = await otherHosts(debian('m1', 'n2'), volumes).catch((e: unknown) => e);
  const now = expect.stringContaining(
    'agents of other work for another installation (namespace n1',
  );
  const details = { code: 'other-installation', now };
  expect(failureDetails(error)).toMatchObject({ type: 'Refused', details });
  // Who may not see its own namespace has none to compare.
  expect(await otherHosts(debian('m1'), volumes)).toEqual(['other']);
  await registerHost(pool, { host: 'other', machine: 'm3', installation: 'n2' });
  expect(await otherHosts(debian('m1', 'n2'), volumes)).toEqual(['other']);
});

it('a name that an earlier version left gets its machine', async () => {
  await mkdir(join(pool, '.blockflow/hosts'), { recursive: true });
  await writeFile(file(), '');
  await registerHost(pool, debian('m1'));
  await expect(registerHost(pool, debian('m2'))).rejects.toThrow('m1');
});
