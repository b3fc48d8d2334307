import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { namesIn } from '../../../activities/adapters/qemu-img/names-in.ts';
import { localFiles } from '../../../activities/adapters/qemu-img/qcow2-header.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-header-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A qcow2 file as far as its backing name goes (docs/interop/qcow2.txt). */
async function header(
  name: string,
  more: { offset?: bigint; length?: number; magic?: number } = {},
): Promise<string> {
  const text = Buffer.from(name);
  const { offset = 112n, length = text.length, magic = 0x514649fb } = more;
  const image = Buffer.alloc(112 + text.length);
  image.writeUInt32BE(magic, 0);
  image.writeUInt32BE(3, 4);
  image.writeBigUInt64BE(offset, 8);
  image.writeUInt32BE(length, 16);
  text.copy(image, 112);
  const path = join(folder, 'image');
  await writeFile(path, image);
  return path;
}

const backingOf = async (path: string) => (await namesIn(path)).backing[0]?.toString() ?? null;

describe('the backing file of a qcow2 header', () => {
  it('is a path, absolute or from the folder of the image', async () => {
    expect(await backingOf(await header('/pool/base.qcow2'))).toBe('/pool/base.qcow2');
    expect(await backingOf(await header('base.qcow2'))).toBe(join(folder, 'base.qcow2'));
    expect(await backingOf(await header('../日本.raw'))).toBe(`${folder}/../日本.raw`);
  });

  it('is none where there is no name, no qcow2, no file, or half a header', async () => {
    expect(await backingOf(await header('', { offset: 0n }))).toBeNull();
    expect(await backingOf(await header('/b', { length: 1024 }))).toBeNull();
    expect(await backingOf(await header('/b', { magic: 0x514649fa }))).toBeNull();
    expect(await backingOf(join(folder, 'nothing'))).toBeNull();
    expect(await backingOf(folder)).toBeNull();
    const half = await header('/b');
    await truncate(half, 19);
    expect(await backingOf(half)).toBeNull();
  });

  it('stands beside the external data file', async () => {
    const [image, data] = [join(folder, 'outside.qcow2'), join(folder, 'data.raw')];
    const over = ['-b', join(folder, 'base.raw'), '-F', 'raw', '-u'];
    const create = (...more: string[]) =>
      execa('qemu-img', ['create', '-q', '-f', 'qcow2', ...more, image, '1M']);
    await create('-o', `data_file=${data}`);
    expect(await namesIn(image)).toEqual({ backing: [], dataFile: [Buffer.from(data)] });
    await create('-o', `data_file=${data}`, ...over);
    const backing = [Buffer.from(join(folder, 'base.raw'))];
    expect(await namesIn(image)).toEqual({ backing, dataFile: [Buffer.from(data)] });
    await create(...over);
    expect(await namesIn(image)).toMatchObject({ dataFile: [] });
  });

  it('is what can be read of a name that the end of the file cuts off', async () => {
    const path = await header('/pool/base');
    const file = await open(path, 'r+');
    await file.truncate(117);
    await file.close();
    expect(await backingOf(path)).toBe('/pool');
  });
});

describe('the local files that a backing name may mean', () => {
  const names: [string, string[]][] = [
    ['a.qcow2', ['/pool/a.qcow2']],
    ['./a:b.qcow2', ['/pool/a:b.qcow2']],
    ['/x/a:b', ['/x/a:b']],
    ['file:/x/a', ['/x/a']],
    ['file:a', ['/pool/a']],
    ['host_device:/dev/a', ['/dev/a']],
    ['blkdebug::/x/a', ['/x/a']],
    ['blkdebug:rules:a', ['/pool/rules', '/pool/a']],
    ['blkdebug:rules:file:/x/a', ['/pool/rules', '/x/a']],
    ['blkverify:/x/raw:/x/a', ['/x/raw', '/x/a']],
    ['nbd://host/a', []],
    ['json:{"driver":"qcow2","file":{"driver":"file","filename":"/x/a"}}', ['/x/a']],
    ['json:{"file.filename":"/x/b"}', ['/x/b']],
    ["json:{'driver':'qcow2','file':{'driver':'file','filename':'/x/a'}}", ['/x/a']],
    [
      'json:{"file": {"filename" : "/x/a"}, "backing": {"file.filename": "b"}}',
      ['/x/a', '/pool/b'],
    ],
    ['json:{"file.filename":"/x/a","data-file.filename":"/x/d"}', ['/x/a', '/x/d']],
    ['json:{"file.image.filename":"/\\u0061\\"\\/b"}', ['/a"/b']],
    ["json:{'filename':'/it\\'s'}", ["/it's"]],
    ['json:{"driver":"nbd","host":"h"}', []],
    ['json:{broken', []],
  ];
  it.each(names)('of %j are %j', (name, files) => {
    const found = localFiles(Buffer.from('/pool'), Buffer.from(name)).map(String);
    expect(found).toEqual(expect.arrayContaining(files));
    // What follows a colon may be the rest of a name, or one more.
    if (!name.startsWith('blk')) expect(new Set(found)).toEqual(new Set(files));
  });

  it('of bytes that are no UTF-8 has the same bytes', () => {
    const name = Buffer.from('pr\xfcfung', 'latin1');
    expect(localFiles(Buffer.from('/pool'), name)).toEqual([
      Buffer.from('/pool/pr\xfcfung', 'latin1'),
    ]);
  });
});
