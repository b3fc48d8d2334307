/** What a wipe overwrites, and when it stops. Real files and leases; QEMU's locks are made up. */
import { writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { acquireFlockLease, leaseFile } from '../../../activities/pool-folder/flock-lease.ts';
import { parseShared, subtract } from '../../../activities/adapters/files/shared-extents.ts';
import type { Libvirt } from '../../../activities/adapters/virsh/domains.ts';
import { createEffect, type EffectHook } from '../../../activities/door/effect.ts';
import { ensureVolumesWiped } from '../../../activities/storage/volumes/ensure-volumes-wiped.ts';
import { tenureOf, type Lease } from '../../../activities/pool-folder/lease.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { dirPoolXml, givePoolId, idInPool, stubTool } from '../../support/scenes/stubbed-pool.ts';

const MIB = 2 ** 20;
const JOB = '11111111-2222-4333-8444-555555555555';
const PATH = process.env['PATH'];
let root: string;
let pool: string;
let environment: MockActivityEnvironment;

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'blockflow-wiped-')));
  pool = join(root, 'pool');
  const logger = new DefaultLogger('ERROR');
  environment = new MockActivityEnvironment(undefined, { logger });
  for (const folder of ['pool', 'bin']) await mkdir(join(root, folder));
  await givePoolId(pool);
  process.env['PATH'] = `${join(root, 'bin')}:${PATH}`;
  await qemuIo('exit 0');
});
afterEach(async () => {
  process.env['PATH'] = PATH;
  await rm(root, { recursive: true });
});

const qemuIo = (script: string) => stubTool(join(root, 'bin'), 'qemu-io', script);

async function volume(name: string, bytes = MIB) {
  const path = join(pool, name);
  await writeFile(path, Buffer.alloc(bytes, 1));
  return { path, pool: 'images', identity: await idInPool(path) };
}
const tomb = (name: string) => `.blockflow/${JOB}-${name}`;
const isZero = async (name: string) => (await readFile(join(pool, name))).every((b) => b === 0);

interface Run {
  hooks?: EffectHook[];
  lease?: Lease;
  onProgress?: () => void;
}
function wipe(volumes: object[], { hooks = [], lease, onProgress = () => undefined }: Run = {}) {
  const poolXml = () => Promise.resolve([dirPoolXml('images', pool)]);
  const allDomainXml = () => Promise.resolve([]);
  const libvirt = { poolXml, allDomainXml } as unknown as Libvirt;
  const tenure = lease && tenureOf(lease);
  const effect = createEffect([...hooks, ...(tenure ? [tenure.hook] : [])]);
  const deps = { libvirt, effect, ...(tenure ? { tenure } : {}) };
  const input = { jobId: JOB, volumes: volumes as never };
  return environment.run(() => ensureVolumesWiped(deps, input, onProgress));
}
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => failureDetails(error) ?? error,
  );

it('overwrites nothing of an image before all of it is out of sight', async () => {
  const chain = [await volume('base.raw'), await volume('top.raw')];
  const open = `*base*) echo 'Failed to get "write" lock' >&2; exit 1;;`;
  await qemuIo(`case "$*" in ${open} esac`);
  expect(await failureOf(wipe(chain))).toMatchObject({ type: 'Hold' });
  expect(await poolFiles(pool)).toEqual(['base.raw', 'top.raw']);
  await qemuIo('exit 0');
  const meanwhile: EffectHook = async (name, _target, run) => {
    if (name === 'storage.wipe-volume') throw new Error('wiped too early');
    const result = await run();
    await qemuIo(`case "$*" in ${open} esac`);
    return result;
  };
  const waits = { type: 'Retry', details: { code: 'volume-in-use' } };
  expect(await failureOf(wipe(chain, { hooks: [meanwhile] }))).toMatchObject(waits);
  expect(await poolFiles(pool)).toEqual([tomb('top.raw'), 'base.raw']);
  await qemuIo('exit 0');
  await wipe(chain);
  expect(await poolFiles(pool)).toEqual([tomb('base.raw'), tomb('top.raw')]);
  expect([await isZero(tomb('base.raw')), await isZero(tomb('top.raw'))]).toEqual([true, true]);
});

const LONG = 48 * MIB;
/** Ends in the middle; what it had to overwrite is there, with data at its end. */
async function expectStopped(): Promise<void> {
  const bytes = await readFile(join(pool, tomb('long.raw')));
  expect([bytes[0], bytes.at(-1)]).toEqual([0, 1]);
}

it('stops when the lease is lost meanwhile', async () => {
  const wanted = { pool: 'images', folder: pool, holder: 'spm@a:1' };
  const lease = (await acquireFlockLease(wanted, new AbortController().signal)) as Lease;
  const isLost = writeLater(leaseFile(pool));
  const chain = [await volume('long.raw', LONG)];
  const failed = await failureOf(wipe(chain, { lease, onProgress: isLost }));
  await lease.release();
  expect(failed).toMatchObject({ type: 'LeaseLost', details: { code: 'lease-lost' } });
  expect((failed as { details: { now: string } }).details.now).toMatch(/stopped half done/);
  await expectStopped();
});

it('stops when its agent is to end', async () => {
  const chain = [await volume('long.raw', LONG)];
  const stop = () => environment.cancel('WORKER_SHUTDOWN');
  await expect(wipe(chain, { onProgress: stop })).rejects.toThrow('WORKER_SHUTDOWN');
  await expectStopped();
});

it('tells that a full file system is one that writes elsewhere, and waits for space', async () => {
  const full: EffectHook = (name, _target, run) =>
    name === 'storage.wipe-volume'
      ? Promise.reject(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' }))
      : run();
  const failed = await failureOf(wipe([await volume('a.raw')], { hooks: [full] }));
  expect(failed).toMatchObject({ type: 'NoSpace', details: { code: 'no-space' } });
});

it('finds what other files share in the words of filefrag', () => {
  const text = `Filesystem type is: 58465342
File size of /p/a is 5242880 (5242880 blocks of 1 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0.. 2097151:      98304..   2195455: 2097152:             shared
   1:  2097152.. 3145727:    2195456..   3244031: 1048576:
   2:  3145728.. 5242879:    3244032..   5341183: 2097152:             last,shared,eof
/p/a: 1 extent found
`;
  const shared = parseShared(text, '/p/a');
  expect(shared).toEqual([
    { start: 0, length: 2 * MIB },
    { start: 3 * MIB, length: 2 * MIB },
  ]);
  const middle = [{ start: 2 * MIB, length: MIB }];
  expect(subtract([{ start: 0, length: 5 * MIB }], shared)).toEqual(middle);
  expect(subtract([{ start: MIB, length: 3 * MIB }], shared)).toEqual(middle);
  expect(subtract(middle, shared)).toEqual(middle);
  expect(subtract(shared, [])).toEqual(shared);
  expect(subtract(shared, shared)).toEqual([]);
  expect(() => parseShared(text.replace(/\/p\/a: 1.*/, ''), '/p/a')).toThrow(/nothing was concl/);
});

/** Another one has the lease from the first call on. */
function writeLater(file: string): () => void {
  let isWritten = false;
  return () => {
    if (isWritten) return;
    isWritten = true;
    writeFileSync(file, JSON.stringify({ version: 2, holder: 'spm@b:2', since: 'now' }));
  };
}
