import { expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { headersBelow } from '../../../activities/host/uses/headers-below.ts';
import { observeFile } from '../../../activities/adapters/files/files.ts';
import { childrenOf, firstIn } from '../../../activities/host/uses/volume-users.ts';
import { use } from '../../support/use.ts';

const NAME = 'base.qcow2';

/** Enough of a qcow2 file to name another one. */
function header(name = NAME): Buffer {
  const bytes = Buffer.alloc(512);
  bytes.writeUInt32BE(0x514649fb, 0);
  bytes.writeUInt32BE(2, 4);
  bytes.writeBigUInt64BE(256n, 8);
  bytes.writeUInt32BE(name.length, 16);
  bytes.write(name, 256);
  return bytes;
}

const folder = use('the folder', async () => {
  const path = await mkdtemp(join(tmpdir(), 'blockflow-headers-'));
  await writeFile(join(path, NAME), 'data');
  for (const name of ['a', 'b']) await writeFile(join(path, name), header());
  return { path, close: () => rm(path, { recursive: true }) };
});

const names = async (search: ReturnType<typeof headersBelow>) =>
  (await search).named.map(({ file }) => basename(file.toString()));

it('finds what stands on another file, in order', async () => {
  const { named, notSearched } = await headersBelow(folder.path);
  expect(named.map(({ file, backing }) => [file.toString(), backing?.toString()])).toEqual(
    ['a', 'b'].map((name) => [join(folder.path, name), join(folder.path, NAME)]),
  );
  expect(notSearched).toEqual([]);
});

it('looks once for all who ask meanwhile, and after their question', async () => {
  const ask = () => headersBelow(folder.path);
  const [first, second, third] = [ask(), ask(), ask()];
  expect(await second).toBe(await third);
  expect(await second).not.toBe(await first);
  await writeFile(join(folder.path, 'c'), header());
  expect(await names(ask())).toEqual(['a', 'b', 'c']);
});

it('finds for each file what is below it, and not what is below its neighbour', async () => {
  const paths = ['left', 'right', 'both', 'target'].map((name) => join(folder.path, name));
  const [left = '', right = '', both = '', target = ''] = paths;
  await writeFile(left, 'data');
  await writeFile(target, 'data');
  await writeFile(right, header(target));
  const names = [left, right].map((path) => `"filename":"${path}"`).join(',');
  await writeFile(both, header(`json:{${names}}`));
  const { identity = '' } = (await observeFile(target)) ?? {};
  const walk = {
    known: new Map<string, string | null>(),
    namer: { by: 'VM a', release: 'detach it' },
    mayStand: () => true,
    leaveOut: () => undefined,
  };
  const look = (path: string) => firstIn(new Set([identity]), path, walk);
  expect(await look(both)).toBe(target);
  expect([await look(left), await look(right), await look(both)]).toEqual([null, target, target]);
  await Promise.all(paths.map((path) => rm(path)));
});

it('takes a name that no file can have for none: a guest may write it to its disk', async () => {
  const raw = join(folder.path, 'raw');
  await writeFile(raw, header('json:{"file":{"filename":"/a\\u0000b"}}'));
  const volumes = [{ path: join(folder.path, NAME), identity: '0:0' }];
  const found = await childrenOf(new Set(['0:0']), { pools: [], volumes });
  expect(found).toEqual({ children: [], notSearched: [] });
  await rm(raw);
});
