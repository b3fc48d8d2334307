/** Whether something has been written to an image that was made empty. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { execa } from 'execa';
import { createEmpty, isStillEmpty } from '../../../activities/adapters/qemu-img/empty-image.ts';
import { use } from '../../support/use.ts';

const folder = use('the folder', async () => {
  const path = await mkdtemp(join(tmpdir(), 'blockflow-empty-'));
  return { path, close: () => rm(path, { recursive: true }) };
});
const shape = { backing: null, clusterBytes: null, extendedL2: false };

it.each(['qcow2', 'raw'] as const)('%s: until a guest or a mirror has written', async (format) => {
  const image = join(folder.path, format);
  await createEmpty(image, { ...shape, format, virtualSizeBytes: 64 * 2 ** 20 });
  expect(await isStillEmpty(image, format)).toBe(true);
  await execa('qemu-io', ['-f', format, '-c', 'write 8M 2M', image]);
  expect(await isStillEmpty(image, format)).toBe(false);
});
