/** What is left of a file that could not be written. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { writeWhole } from '../../../activities/adapters/files/files.ts';
import { fill } from '../../support/scenes/full-pool.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { useEach } from '../../support/use.ts';

const forTest = useEach();

it('a file that a full disk refuses leaves no draft', async () => {
  const mount = await forTest(mountOwn('tmpfs', 2));
  await fill(mount.path, 0);
  const folder = join(mount.path, 'folder');
  await expect(writeWhole(join(folder, 'id'), 'text', { ifThere: 'keep' })).rejects.toThrow(
    'ENOSPC',
  );
  expect(await readdir(folder)).toEqual([]);
});
