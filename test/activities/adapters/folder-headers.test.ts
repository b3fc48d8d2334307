/** What the files of a folder stand on, as threads of their own read it. */
import {
  mkdir,
  mkdtemp,
  open,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { readFolderHeaders } from '../../../activities/adapters/qemu-img/folder-headers.ts';
import { createImage } from '../../support/guest/shut-off-vm.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { fillPool } from '../../support/scenes/large-site.ts';

let [folder, base] = ['', ''];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-children-'));
  base = await createImage(join(folder, 'base'));
  await fillPool(folder, 2000);
  for (const name of ['below', 'hidden']) await mkdir(join(folder, name));
});
afterAll(() => rm(folder, { recursive: true }));

async function search(without = 'hidden', from = folder) {
  const { named, ...more } = await readFolderHeaders({ folder: from, without });
  const found = named.map(({ file, backing }) => [file.toString(), backing?.toString()]);
  return { ...more, found: found.filter(([, below]) => !below?.endsWith('no-such-base')).sort() };
}

describe('Files that stand on a base', () => {
  it('are found among thousands, and below the folder, by the name in their header', async () => {
    const overlay = await createImage(join(folder, 'overlay'), { below: base });
    const inner = await createImage(join(folder, 'below/inner'), { below: base });
    await createImage(join(folder, 'hidden/own'), { below: base });
    await symlink(join(folder, 'below'), join(folder, 'link'));
    const found = [inner, overlay].map((path) => [path, base]);
    expect(await search()).toEqual({ found, leftOut: [], unread: null });
    expect((await search('none')).found).toHaveLength(3);
  });

  it('are found by each of many searches at once', async () => {
    const all = await Promise.all(Array.from({ length: 12 }, () => search()));
    expect(new Set(all.map(({ found }) => String(found))).size).toBe(1);
    expect(all[0]?.found).toHaveLength(2);
  });

  it('are seen when a file is changed, replaced, added or removed since', async () => {
    const from = join(folder, 'below');
    const [one, two] = await Promise.all(
      ['one', 'two'].map((name) => createImage(join(from, name), { below: base })),
    );
    const [first, second] = [one ?? '', two ?? ''];
    const names = async () => (await search('none', from)).found.map(([, below]) => below);
    const settled = (path: string) =>
      waitUntil('its times tell another write', async () => {
        return Date.now() - (await stat(path)).ctimeMs > 2100;
      });
    await settled(second);
    expect(await names()).toEqual(await names());
    // In place, of the same length, and with its old time.
    const times = join(folder, 'hidden/times');
    await writeFile(times, '');
    await execa('touch', ['-r', first, times]);
    const other = await createImage(base.replace(/base$/, 'BASE'));
    const file = await open(first, 'r+');
    await file.write(other, (await readFile(first)).indexOf(base));
    await file.close();
    await execa('touch', ['-r', times, first]);
    await settled(first);
    expect(await names()).toEqual([base, other, base]);
    await createImage(join(from, 'three'), { below: other });
    expect(await names()).toEqual([base, other, other, base]);
    await rename(join(from, 'three'), second);
    expect(await names()).toEqual([base, other, other]);
    await rm(first);
    expect(await names()).toEqual([base, other]);
  });

  it('are none where there is no folder', async () => {
    expect((await search('none', join(folder, 'nowhere'))).found).toEqual([]);
  });
});
