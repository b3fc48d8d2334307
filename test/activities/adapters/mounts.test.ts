/** Which file system something is on, by the kernel's list alone. */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { execa } from 'execa';
import { deviceOfPath, mountsOf } from '../../../activities/adapters/files/mounts.ts';
import { makeMountFolder, removeMountFolder } from '../../support/host/own-mount.ts';
import { useEach } from '../../support/use.ts';

const forTest = useEach();

it('knows a mount by a name with blanks, and by one that is no ASCII', async () => {
  const folder = await makeMountFolder();
  const path = join(folder, 'fs');
  await mkdir(path);
  await execa('mount', ['-t', 'tmpfs', 'tmpfs', path]);
  await forTest(Promise.resolve({ path, close: () => removeMountFolder(folder) }));
  const odd = join(path, 'ü b');
  await mkdir(odd);
  await execa('mount', ['-t', 'tmpfs', 'tmpfs', odd]);
  const { dev } = await stat(odd, { bigint: true });
  expect(deviceOfPath(mountsOf('self'), join(odd, 'file'))).toBe(String(dev));
});
