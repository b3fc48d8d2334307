/** What a volume is called by all hosts and after a reboot, on a real file system of its own. */
import { randomUUID } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { observeFile } from '../../../activities/adapters/files/files.ts';
import { acquireFlockLease } from '../../../activities/pool-folder/flock-lease.ts';
import { registerHost } from '../../../activities/pool-folder/hosts.ts';
import {
  ensurePoolId,
  lookedAt,
  nameVolume,
  observePoolId,
} from '../../../activities/pool-folder/id.ts';
import type { Libvirt } from '../../../activities/adapters/virsh/domains.ts';
import { createEffect } from '../../../activities/door/effect.ts';
import { ensureVolumesAbsent } from '../../../activities/storage/volumes/ensure-volumes-absent.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import type { NamedVolume } from '../../../workflows/chain/references.ts';
import { mountOwn, type OwnMount } from '../../support/host/own-mount.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { useEach } from '../../support/use.ts';

const MEBIBYTES = 16;
const JOB = '7c9a2f7e-4f5a-4f6e-9d8e-0a1b2c3d4e5f';

let mount: OwnMount;
const forTest = useEach();
beforeEach(async () => {
  mount = await forTest(mountOwn('ext4', MEBIBYTES));
});

const device = async () => (await observeFile(mount.path))?.identity.split(':')[0];

/** A host whose pool `images` is this folder. */
const libvirtAt = (folder: string) =>
  ({
    poolXml: () =>
      Promise.resolve([
        `<pool type='dir'><name>images</name><target><path>${folder}</path></target></pool>`,
      ]),
    refreshPoolSoon: () => Promise.resolve(),
    allDomainXml: () => Promise.resolve([]),
  }) as unknown as Libvirt;
const remove = (volume: NamedVolume, folder = mount.path) =>
  ensureVolumesAbsent(
    { libvirt: libvirtAt(folder), effect: createEffect([]) },
    { jobId: JOB, volumes: [volume] },
  );
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => failureDetails(error),
  );

async function plannedVolume(name: string): Promise<NamedVolume> {
  const path = join(mount.path, name);
  await writeFile(path, 'x'.repeat(8192));
  const identity = (await observeFile(path))?.identity ?? '';
  return nameVolume({ path, pool: 'images', identity });
}

const giveId = (folder: string) => ensurePoolId(folder, randomUUID());

describe('A pool with an id', () => {
  it('keeps the first one', async () => {
    await giveId(mount.path);
    const first = await observePoolId(mount.path);
    await giveId(mount.path);
    expect(await observePoolId(mount.path)).toBe(first);
  });

  it('has its volume deleted after a reboot, under another device number', async () => {
    await giveId(mount.path);
    const planned = await plannedVolume('a.raw');
    const before = await device();
    await mount.remount();
    expect(await device()).not.toBe(before);
    expect(await remove(planned)).toMatchObject({ deleted: [planned.path] });
    expect(await poolFiles(mount.path)).toEqual([]);
  });

  it('keeps another file that now has the name', async () => {
    await giveId(mount.path);
    const planned = await plannedVolume('a.raw');
    const other = join(mount.path, 'other');
    await writeFile(other, '');
    await rename(other, planned.path);
    expect(await remove(planned)).toMatchObject({ deleted: [] });
    expect(await poolFiles(mount.path)).toEqual(['a.raw']);
  });

  it('is not confused with the pool of that name on another host', async () => {
    await giveId(mount.path);
    const planned = await plannedVolume('a.raw');
    const other = join(mount.path, 'other');
    await mkdir(other);
    await giveId(other);
    await writeFile(join(other, 'a.raw'), '');
    const away = { type: 'Retry', details: { code: 'pool-away' } };
    expect(await failureOf(remove(planned, other))).toMatchObject(away);
    expect(await poolFiles(other)).toEqual(['a.raw']);
  });

  it('is waited for while its file system is not mounted', async () => {
    await giveId(mount.path);
    const planned = await plannedVolume('a.raw');
    const under = { ...planned, identity: planned.identity.replace(/^\w{4}/, '0000') };
    const away = { type: 'Retry', details: { code: 'pool-away' } };
    expect(await failureOf(remove(under))).toMatchObject(away);
    expect(await poolFiles(mount.path)).toEqual(['a.raw']);
  });
});

describe('A pool whose folder is unavailable', () => {
  const lease = (folder: string) =>
    acquireFlockLease({ pool: 'images', folder, holder: 'spm@a:1' }, new AbortController().signal);
  const agents = {
    'the id': giveId,
    "the host's name": (folder: string) =>
      registerHost(folder, { host: 'h1', machine: 'm1', installation: 'n1' }),
    'the lease': lease,
  };
  it.each(Object.entries(agents))('is not made for %s', async (_, write) => {
    await expect(write(join(mount.path, 'away'))).rejects.toThrow('ENOENT');
    expect(await poolFiles(mount.path)).toEqual([]);
  });
});

describe('A pool without an id', () => {
  const known = async (path: string) => (await observeFile(path))?.identity ?? '';

  it('has nothing planned to be changed until an agent has written one', async () => {
    const pending = await failureOf(plannedVolume('a.raw'));
    expect(pending).toMatchObject({ type: 'Retry', details: { code: 'pool-away' } });
    await giveId(mount.path);
    const planned = await plannedVolume('a.raw');
    expect(await remove(planned)).toMatchObject({ deleted: [planned.path] });
  });

  it('can be looked at', async () => {
    const path = join(mount.path, 'a.raw');
    await writeFile(path, '');
    const identity = await known(path);
    expect(await lookedAt({ path, pool: 'images', identity })).toMatchObject({ identity });
  });

  it('is not changed by a device number, which is another file on another host', async () => {
    const path = join(mount.path, 'a.raw');
    await writeFile(path, '');
    const forged = { path, pool: 'images', identity: await known(path) };
    expect(await failureOf(remove(forged))).toMatchObject({ type: 'Bug' });
    expect(await poolFiles(mount.path)).toEqual(['a.raw']);
  });
});
