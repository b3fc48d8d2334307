/** What is left of a file that could not be written. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from '@jest/globals';
import { writeWhole } from '../../../activities/adapters/files/files.ts';
import { fill } from '../../support/scenes/full-pool.ts';
import { mountOwn, type OwnMount } from '../../support/host/own-mount.ts';

let mount: OwnMount | undefined;
afterEach(() => mount?.close());

it('a file that a full disk refuses leaves no draft', async () => {
  mount = await mountOwn('tmpfs', 2);
  await fill(mount.path, 0);
  const folder = join(mount.path, 'folder');
  await expect(writeWhole(join(folder, 'id'), 'text', { ifThere: 'keep' })).rejects.toThrow(
    'ENOSPC',
  );
  expect(await readdir(folder)).toEqual([]);
});
