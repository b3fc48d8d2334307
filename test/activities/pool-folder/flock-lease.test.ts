import { mkdtemp, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  acquireFlockLease,
  leaseFile,
  observeFlockLease,
} from '../../../activities/pool-folder/flock-lease.ts';
import { isLocked } from '../../../activities/adapters/process/file-lock.ts';
import { createEffect } from '../../../activities/door/effect.ts';
import { tenureOf, type Lease } from '../../../activities/pool-folder/lease.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { waitUntil } from '../../support/wait-until.ts';

let folder: string;
let held: Lease[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-lease-'));
  held = [];
});
afterEach(async () => {
  for (const lease of held) await lease.release().catch(() => undefined);
  await rm(folder, { recursive: true });
});

const forever = new AbortController().signal;
async function acquire(holder: string, until: AbortSignal = forever): Promise<Lease | null> {
  const lease = await acquireFlockLease({ pool: 'images', folder, holder }, until);
  if (lease) held.push(lease);
  return lease;
}
async function mustAcquire(holder: string): Promise<Lease> {
  const lease = await acquire(holder);
  if (!lease) throw new Error('no lease');
  return lease;
}

describe('the lease of a file pool', () => {
  it('has one holder at a time, and a version that grows with each', async () => {
    expect(await observeFlockLease(folder)).toBeNull();
    const first = await mustAcquire('spm@a:1');
    expect(first.record).toMatchObject({ version: 1, holder: 'spm@a:1' });
    let second: Lease | null = null;
    const waiting = mustAcquire('spm@b:2').then((lease) => (second = lease));
    await expect(observeFlockLease(folder)).resolves.toMatchObject({ version: 1, isHeld: true });
    expect(second).toBeNull();
    await first.release();
    expect((await waiting).record).toMatchObject({ version: 2, holder: 'spm@b:2' });
    expect(await first.lossNow()).not.toBeNull();
  });

  it('is kept until the last effect of its holder is over, and no other begins', async () => {
    const tenure = tenureOf(await mustAcquire('spm@a:1'));
    const effect = createEffect([tenure.hook]);
    const wipe = Promise.withResolvers<string>();
    const begun = Promise.withResolvers<void>();
    const wiping = effect('storage.wipe-volume', 'a', () => (begun.resolve(), wipe.promise));
    await begun.promise;
    await expect(
      effect('storage.unlink-volume', 'b', () => Promise.reject(new Error('EIO'))),
    ).rejects.toThrow('EIO');
    let isOver = false;
    const over = tenure.end().then(() => (isOver = true));
    const late = effect('storage.unlink-volume', 'a', () => Promise.resolve());
    const failure = failureDetails(await late.catch((error: unknown) => error));
    expect(failure).toMatchObject({ type: 'LeaseLost', details: { code: 'lease-lost' } });
    expect(isOver).toBe(false);
    wipe.resolve('wiped');
    expect([await wiping, await over]).toEqual(['wiped', true]);
  });

  it.each([0, 1, 2, 3, 4])(
    'is not over beside an effect when it ends right after the look, %i turns later',
    async (turns) => {
      const look = Promise.withResolvers<null>();
      const lease = await mustAcquire('spm@a:1');
      const tenure = tenureOf({ ...lease, lossNow: () => look.promise });
      const seen: string[] = [];
      const act = async () => {
        seen.push('begins');
        await stat(folder);
        seen.push('is done');
      };
      const acting = createEffect([tenure.hook])('storage.unlink-volume', 'a', act);
      look.resolve(null);
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      const over = tenure.end().then(() => seen.push('over'));
      await Promise.allSettled([acting, over]);
      expect([['over'], ['begins', 'is done', 'over']]).toContainEqual(seen);
    },
  );

  it('is waited for no longer than wanted', async () => {
    await mustAcquire('spm@a:1');
    const stop = new AbortController();
    const waiting = acquire('spm@b:2', stop.signal);
    stop.abort();
    expect(await waiting).toBeNull();
  });

  it.each([
    ['removed', (file: string) => rm(file), /ENOENT/],
    ['replaced', replace, /was replaced/],
    ['emptied', (file: string) => truncate(file), /was emptied/],
    ['taken by a later version', takeOver, /spm@b:2 has version 2/],
  ] as const)('lets no effect begin once it is %s', async (_, damage, reason) => {
    const lease = await mustAcquire('spm@a:1');
    const effect = createEffect([tenureOf(lease).hook]);
    let effects = 0;
    const act = () => effect('storage.unlink-volume', 'a.qcow2', () => Promise.resolve(++effects));
    expect(await act()).toBe(1);
    await damage(leaseFile(folder));
    const failure = await act().then(() => null, failureDetails);
    expect(failure).toMatchObject({ type: 'LeaseLost', details: { code: 'lease-lost' } });
    expect(failure?.details.now).toMatch(reason);
    expect(lease.lost.aborted).toBe(true);
    expect(effects).toBe(1);
  });

  it('does not go to a process that locked a file that has lost its name', async () => {
    const first = await mustAcquire('spm@a:1');
    const waiting = mustAcquire('spm@b:2');
    const file = leaseFile(folder);
    await waitUntil('a process to wait for the lock', () => isWaitedFor(file));
    await rename(file, `${file}.old`);
    await first.release();
    expect((await waiting).record.version).toBe(1);
    expect(await isLocked(file)).toBe(true);
    await waitUntil('the old file to be let go', async () => !(await isLocked(`${file}.old`)));
  });

  it('refuses a record that is none, instead of beginning at version 1 again', async () => {
    await (await mustAcquire('spm@a:1')).release();
    await writeFile(leaseFile(folder), 'not a record');
    await expect(acquire('spm@b:2')).rejects.toThrow(/holds no record of a lease/);
  });
});

/** Blocked locks are lines with an arrow in /proc/locks, and name the inode. */
async function isWaitedFor(file: string): Promise<boolean> {
  const [locks, { ino }] = await Promise.all([readFile('/proc/locks', 'utf8'), stat(file)]);
  return locks.split('\n').some((line) => line.includes('->') && line.includes(`:${ino} `));
}

async function replace(file: string): Promise<void> {
  await rename(file, `${file}.old`);
  await writeFile(file, '');
}
async function takeOver(file: string): Promise<void> {
  await writeFile(file, JSON.stringify({ version: 2, holder: 'spm@b:2', since: 'now' }));
}
