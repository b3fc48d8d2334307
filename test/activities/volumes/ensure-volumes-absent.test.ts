import { randomUUID } from 'node:crypto';
import { link, mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Libvirt } from '../../../activities/adapters/virsh/domains.ts';
import { createEffect, type EffectHook } from '../../../activities/door/effect.ts';
import {
  ensureVolumeAbsent,
  ensureVolumesAbsent,
} from '../../../activities/storage/volumes/ensure-volumes-absent.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { dirPoolXml, givePoolId, idInPool, stubTool } from '../../support/scenes/stubbed-pool.ts';

const JOB = '11111111-2222-4333-8444-555555555555';
const PATH = process.env['PATH'];
let root: string;
let pool: string;
let refreshed: string[];

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'blockflow-absent-')));
  pool = join(root, 'pool');
  refreshed = [];
  await mkdir(pool);
  await givePoolId(pool);
  await mkdir(join(root, 'bin'));
  process.env['PATH'] = `${join(root, 'bin')}:${PATH}`;
  await qemuIo('exit 0');
});
afterEach(async () => {
  process.env['PATH'] = PATH;
  await rm(root, { recursive: true });
});

/** What opening an image says: QEMU's locks are the real tests' matter. */
const qemuIo = (script: string) => stubTool(join(root, 'bin'), 'qemu-io', script);

const opened = (name: string) =>
  qemuIo(`case "$*" in *${name}*) echo 'Failed to get "write" lock' >&2; exit 1;; esac`);

const libvirt = {
  poolXml: () =>
    Promise.resolve([dirPoolXml('images', pool), dirPoolXml('other', join(root, 'other'))]),
  refreshPoolSoon: (name: string) => Promise.resolve(refreshed.push(name)),
  allDomainXml: () => Promise.resolve([]),
} as unknown as Libvirt;

const deps = (...hooks: EffectHook[]) => ({ libvirt, effect: createEffect(hooks) });

async function volume(name: string, folder = pool) {
  const path = join(folder, name);
  await writeFile(path, 'x'.repeat(8192));
  return { path, pool: 'images', identity: await idInPool(path) };
}
const ensure = (volumes: object[], ...hooks: EffectHook[]) =>
  ensureVolumesAbsent(deps(...hooks), { jobId: JOB, volumes: volumes as never });
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => failureDetails(error),
  );

describe('ensureVolumesAbsent', () => {
  it('deletes the planned files and leaves nothing', async () => {
    const [a, b] = [await volume('a.qcow2'), await volume('b.qcow2')];
    await volume('other.qcow2');
    const done = await ensure([a, b]);
    expect(done).toMatchObject({ deleted: [a.path, b.path], regainedBytes: 16384 });
    expect(await poolFiles(pool)).toEqual(['other.qcow2']);
    expect(refreshed).toEqual(['images']);
    expect(await ensure([a, b])).toMatchObject({ regainedBytes: 0 });
  });

  it('never deletes another file that now has the name', async () => {
    const planned = await volume('a.qcow2');
    // A second name keeps the inode from being used again.
    await link(planned.path, join(root, 'elsewhere'));
    await rm(planned.path);
    await volume('a.qcow2');
    expect(await ensure([planned])).toEqual({ deleted: [], regainedBytes: 0 });
    expect(await poolFiles(pool)).toEqual(['a.qcow2']);
  });

  it('fails as a bug for a path outside its pool, and touches nothing', async () => {
    const outside = await volume('a.qcow2', root);
    expect(await failureOf(ensure([outside]))).toMatchObject({ type: 'Bug' });
    await mkdir(join(pool, 'folder'));
    const below = await volume('b.qcow2', join(pool, 'folder'));
    expect(await failureOf(ensure([below]))).toMatchObject({ type: 'Bug' });
    await mkdir(join(root, 'other'));
    await givePoolId(join(root, 'other'));
    const elsewhere = { ...(await volume('c.qcow2')), pool: 'other' };
    expect(await failureOf(ensure([elsewhere]))).toMatchObject({ type: 'Bug' });
    expect((await readdir(root)).sort()).toEqual(['a.qcow2', 'bin', 'other', 'pool']);
    expect(await poolFiles(pool)).toEqual(['c.qcow2', 'folder']);
  });

  it('goes on where a crash between rename and unlink left it', async () => {
    const planned = await volume('a.qcow2');
    const dies: EffectHook = (name, _target, run) =>
      name === 'storage.unlink-volume' ? Promise.reject(new Error('dies')) : run();
    await expect(ensure([planned], dies)).rejects.toThrow('dies');
    expect(await poolFiles(pool)).toEqual([`.blockflow/${JOB}-a.qcow2`]);
    const done = await ensure([planned]);
    expect(done).toEqual({ deleted: [planned.path], regainedBytes: 8192 });
    expect(await poolFiles(pool)).toEqual([]);
  });

  it('deletes what it buried although another file now has the name', async () => {
    const planned = await volume('a.qcow2');
    const dies: EffectHook = (name, _target, run) =>
      name === 'storage.unlink-volume' ? Promise.reject(new Error('dies')) : run();
    await expect(ensure([planned], dies)).rejects.toThrow('dies');
    await volume('a.qcow2');
    await ensure([planned]);
    expect(await poolFiles(pool)).toEqual(['a.qcow2']);
  });

  it('waits for a file system that is not mounted', async () => {
    const planned = { ...(await volume('a.qcow2')), identity: `${randomUUID()}:2` };
    await rm(planned.path);
    const found = { type: 'Retry', details: { code: 'pool-away' } };
    expect(await failureOf(ensure([planned]))).toMatchObject(found);
  });

  it('waits for one that is unmounted once the volume was found', async () => {
    const planned = await volume('a.qcow2');
    await rm(planned.path);
    const quarantinedPath = `${planned.path}.away`;
    const away = { volume: { ...planned, identity: '0:1' }, quarantinedPath };
    const found = { type: 'Retry', details: { code: 'pool-away' } };
    expect(await failureOf(ensureVolumeAbsent(deps(), away))).toMatchObject(found);
  });

  it('holds when a process has opened the volume since its proof', async () => {
    const planned = await volume('a.qcow2');
    await qemuIo('echo \'Failed to get "write" lock\' >&2; exit 1');
    const found = { type: 'Hold', details: { code: 'unproven' } };
    expect(await failureOf(ensure([planned]))).toMatchObject(found);
    expect(await poolFiles(pool)).toEqual(['a.qcow2']);
  });

  it.each(['base', 'top'])('touches nothing while its %s is open', async (name) => {
    const chain = [await volume('base.qcow2'), await volume('top.qcow2')];
    await opened(name);
    const found = { type: 'Hold', details: { code: 'unproven' } };
    expect(await failureOf(ensure(chain))).toMatchObject(found);
    expect(await poolFiles(pool)).toEqual(['base.qcow2', 'top.qcow2']);
  });

  it('goes from the active layer down, and waits for one that is opened meanwhile', async () => {
    const chain = [await volume('base.qcow2'), await volume('top.qcow2')];
    const meanwhile: EffectHook = async (_name, _target, run) => {
      const result = await run();
      await opened('base');
      return result;
    };
    const found = { type: 'Retry', details: { code: 'volume-in-use' } };
    for (const hooks of [[meanwhile], []]) {
      expect(await failureOf(ensure(chain, ...hooks))).toMatchObject(found);
      expect(await poolFiles(pool)).toEqual([`.blockflow/${JOB}-top.qcow2`, 'base.qcow2']);
    }
    await qemuIo('exit 0');
    expect((await ensure(chain)).deleted).toEqual(chain.map(({ path }) => path));
    expect(await poolFiles(pool)).toEqual([]);
  });
});
