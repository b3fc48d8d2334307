import { cp, mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { observePoolId } from '../../../activities/pool-folder/id.ts';
import {
  ensureKnownPool,
  missingPool,
  rememberOtherSpm,
} from '../../../activities/pool-folder/known-pools.ts';
import { OWN_FOLDER } from '../../../activities/pool-folder/own-folder.ts';

let root: string;
let state: string;
let pool: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'blockflow-known-'));
  [state, pool] = [join(root, 'state'), join(root, 'pool')];
  await mkdir(pool);
});
afterEach(() => rm(root, { recursive: true }));

/** Another folder under the name of the pool, as the mount point of one that is not mounted. */
async function unmount(): Promise<() => Promise<void>> {
  await rename(pool, join(root, 'mounted'));
  await mkdir(pool);
  return async () => {
    await rm(pool, { recursive: true });
    await rename(join(root, 'mounted'), pool);
  };
}

describe('The pool of a folder', () => {
  it('has one id for all agents', async () => {
    expect(await missingPool(state, pool)).toBeNull();
    expect(await ensureKnownPool(state, pool)).toBeNull();
    const id = await observePoolId(pool);
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(await ensureKnownPool(join(root, 'of another agent'), pool)).toBeNull();
    expect(await ensureKnownPool(state, pool)).toBeNull();
    expect(await observePoolId(pool)).toBe(id);
  });

  it('is missing while another folder has its name, and nothing is written there', async () => {
    await ensureKnownPool(state, pool);
    const id = await observePoolId(pool);
    const mount = await unmount();
    for (const look of [missingPool, ensureKnownPool]) {
      expect(await look(state, pool)).toMatchObject({ id, now: expect.stringContaining(pool) });
    }
    expect(await observePoolId(pool)).toBeNull();
    await mount();
    expect(await missingPool(state, pool)).toBeNull();
    expect(await observePoolId(pool)).toBe(id);
  });

  it('is missing while another pool is there', async () => {
    await ensureKnownPool(state, pool);
    await unmount();
    await ensureKnownPool(join(root, 'elsewhere'), pool);
    expect(await ensureKnownPool(state, pool)).toMatchObject({
      now: expect.stringContaining('another pool'),
      next: expect.stringContaining(join(state, 'pools')),
    });
  });

  it('gets the same id again in the very same folder', async () => {
    await ensureKnownPool(state, pool);
    const id = await observePoolId(pool);
    await rm(join(pool, OWN_FOLDER), { recursive: true });
    expect(await ensureKnownPool(state, pool)).toBeNull();
    expect(await observePoolId(pool)).toBe(id);
  });
});

describe('A copy of a pool', () => {
  let copy: string;
  beforeEach(async () => {
    copy = join(root, 'copy');
    await ensureKnownPool(state, pool);
    await cp(pool, copy, { recursive: true });
  });

  it('is no pool beside the original, and one of its own when its id is removed', async () => {
    for (const look of [missingPool, ensureKnownPool]) {
      expect(await look(state, copy)).toMatchObject({ now: expect.stringContaining(pool) });
    }
    expect(await missingPool(state, pool)).toBeNull();
    await rm(join(copy, OWN_FOLDER, 'id'));
    expect(await ensureKnownPool(state, copy)).toBeNull();
    expect(await observePoolId(copy)).toMatch(/^[0-9a-f-]{36}$/);
    expect(await observePoolId(copy)).not.toBe(await observePoolId(pool));
  });

  it('is one when the original is gone from its folder, or is that folder', async () => {
    const bound = join(root, 'bound');
    await symlink(pool, bound);
    expect(await missingPool(state, bound)).toBeNull();
    await rm(pool, { recursive: true });
    expect(await ensureKnownPool(state, copy)).toBeNull();
  });

  it('is found out when both were known before', async () => {
    await rename(pool, join(root, 'away'));
    await ensureKnownPool(state, copy);
    await rename(join(root, 'away'), pool);
    for (const folder of [pool, copy]) {
      expect(await missingPool(state, folder)).toMatchObject({
        now: expect.stringContaining('one of the two is a copy'),
      });
    }
    await rm(join(copy, OWN_FOLDER, 'id'));
    expect(await ensureKnownPool(state, copy)).toBeNull();
    expect(await missingPool(state, pool)).toBeNull();
    expect(await observePoolId(copy)).not.toBe(await observePoolId(pool));
  });

  it('on another machine is no pool from when its original was seen to be served', async () => {
    const elsewhere = join(root, 'other machine');
    await ensureKnownPool(elsewhere, copy);
    await rememberOtherSpm(elsewhere, copy, 'spm@h1:7');
    expect(await ensureKnownPool(elsewhere, copy)).toMatchObject({
      now: expect.stringContaining('spm@h1:7'),
      next: expect.stringContaining(join(copy, OWN_FOLDER, 'id')),
    });
    await rm(join(copy, OWN_FOLDER, 'id'));
    expect(await ensureKnownPool(elsewhere, copy)).toBeNull();
    expect(await observePoolId(copy)).not.toBe(await observePoolId(pool));
  });
});
