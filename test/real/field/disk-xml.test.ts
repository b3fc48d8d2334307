/**
 * A layer is more than a path and a format: what the XML says of it stays with it, through cold
 * merges and moves, or the operation is refused before it begins.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import {
  createImage,
  defineChain,
  defineShutOff,
  diskXml,
} from '../../support/guest/shut-off-vm.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  digests,
  removalOf,
  startMove,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { waitUntil } from '../../support/wait-until.ts';

const system = useSystem(() => startMoveSystem({ name: 'diskxml' }));
let secret: string;
let key: string;
beforeAll(async () => {
  key = join(system.host.root, 'key');
  await writeFile(key, 'secret1');
  const xml = join(system.host.root, 'secret.xml');
  await writeFile(
    xml,
    "<secret ephemeral='no' private='no'><usage type='volume'><volume>x</volume></usage></secret>",
  );
  secret = /[0-9a-f-]{36}/.exec(await system.host.virsh('secret-define', xml))?.[0] ?? '';
  await system.host.virsh('secret-set-value', secret, '--file', key, '--plain');
});

const inPool = (name: string) => join(system.host.pools, POOL, name);
const inactive = (vm: string) => system.host.virsh('dumpxml', vm, '--inactive');
const encryption = () =>
  `<encryption format='luks'><secret type='passphrase' uuid='${secret}'/></encryption>`;

async function move(vm: string) {
  const image = { kind: 'disk', vm, disk: 'vdb' } as const;
  const result = await (await startMove(system, { image, to: VAULT })).result();
  expect(result).toMatchObject({ outcome: 'moved' });
  await removalOf(system, result);
}

/** The VM starts, which opens each layer with its key. */
async function expectStarts(vm: string): Promise<void> {
  await system.host.virsh('start', vm, '--paused');
  await system.host.virsh('destroy', vm);
}

/** A qcow2 image with LUKS inside, of 8 MiB. */
const createLuks = (path: string, ...over: string[]) =>
  encrypted('encrypt.', path, ['-f', 'qcow2', ...over]);

/**
 * A LUKS image of 8 MiB. qemu-img measures the processor's speed first, which the clock of a busy
 * machine may not show.
 */
async function encrypted(prefix: '' | 'encrypt.', path: string, more: string[]): Promise<void> {
  const format = prefix === '' ? '' : 'encrypt.format=luks,';
  const options = `${format}${prefix}key-secret=s0,${prefix}iter-time=10`;
  const object = ['--object', `secret,id=s0,file=${key}`];
  const create = ['create', '-q', ...more, ...object, '-o', options, path, '8M'];
  await waitUntil('qemu-img to measure the processor', async () => {
    const { stderr = '' } = await execa('qemu-img', create, { reject: false });
    if (stderr !== '' && !stderr.includes('accurate CPU usage')) throw new Error(stderr);
    return stderr === '';
  });
}

/** A LUKS image with so many plain overlays by libvirt. */
async function defineLuks(vm: string, overlays: number): Promise<void> {
  const path = inPool(`${vm}.qcow2`);
  await createLuks(path);
  const disk = diskXml(path).replace(`file='${path}'/>`, `file='${path}'>${encryption()}</source>`);
  await defineShutOff(system.host, vm, disk);
  await system.host.virsh('start', vm, '--paused');
  for (let n = 1; n <= overlays; n++) {
    const spec = `vdb,file=${inPool(`${vm}.s${n}`)}`;
    const options = ['--disk-only', '--no-metadata', '--diskspec', 'vda,snapshot=no'];
    await system.host.virsh('snapshot-create-as', vm, `s${n}`, ...options, '--diskspec', spec);
  }
  await system.host.virsh('destroy', vm);
}

describe('the secret of a layer', () => {
  it('follows a base below a plain overlay through a move', async () => {
    await defineLuks('luks', 1);
    await move('luks');
    expect(await inactive('luks')).toContain(secret);
    await expectStarts('luks');
  });

  it('stays with a base through a cold merge above it, or that is refused', async () => {
    await defineLuks('lukscold', 2);
    const request = { vm: 'lukscold', disk: 'vdb', base: inPool('lukscold.s1') };
    expect(await failureOf(merged(system, request))).toMatchObject({
      type: 'Refused',
      code: 'unsupported-format',
      now: expect.stringContaining('is encrypted'),
    });
    await expectStarts('lukscold');
  });

  it('of two encrypted layers is known before a move that needs it', async () => {
    const [base, top] = [inPool('two.qcow2'), inPool('two-top.qcow2')];
    await createLuks(base);
    await createLuks(top, '-u', '-b', base, '-F', 'qcow2');
    await defineShutOff(system.host, 'two', diskXml(top));
    const image = { kind: 'disk', vm: 'two', disk: 'vdb' } as const;
    const moving = startMove(system, { image, to: VAULT }).then((handle) => handle.result());
    expect(await failureOf(moving)).toMatchObject({ type: 'Refused', code: 'unsupported-format' });
  });
});

/** What QEMU decrypts is not what `qemu-img` reads of a raw file. */
describe('a raw file with a secret', () => {
  const request = (vm: string) => ({ kind: 'disk', vm, disk: 'vdb' }) as const;
  const unsupported = { type: 'Refused', code: 'unsupported-format' };
  /** @param overlay over it, with its record of what is below */
  async function defineRaw(vm: string, overlay = false): Promise<string[]> {
    const [base, top] = [inPool(`${vm}.img`), inPool(`${vm}.qcow2`)];
    await encrypted('', base, ['-f', 'luks']);
    const source = `<source file='${base}'>${encryption()}</source>`;
    if (overlay) {
      await createImage(top, { below: base, belowFormat: 'raw' });
      const below = `<backingStore type='file'><format type='raw'/>${source}</backingStore>`;
      await defineShutOff(system.host, vm, diskXml(top, 'qcow2', below));
      return [base, top];
    }
    const disk = diskXml(base, 'raw').replace(`<source file='${base}'/>`, source);
    await defineShutOff(system.host, vm, disk);
    return [base];
  }

  it('moves as it is, and is not converted', async () => {
    await defineRaw('raw');
    const moving = startMove(system, { image: request('raw'), to: VAULT, format: 'qcow2' });
    expect(await failureOf(moving.then((handle) => handle.result()))).toMatchObject(unsupported);
    await move('raw');
    await expectStarts('raw');
  });

  it.each(['down', 'running'])('gets no overlay, VM %s', async (state) => {
    const vm = `raw${state}`;
    await defineRaw(vm);
    if (state === 'running') await system.host.virsh('start', vm, '--paused');
    const taking = takeSnapshot(system, { vm, exclude: ['vda'] });
    expect(await failureOf(taking)).toMatchObject(unsupported);
  });

  it('gets no data of an overlay while the VM is down', async () => {
    const files = await defineRaw('rawbase', true);
    const before = await digests(files);
    const merging = merged(system, { vm: 'rawbase', disk: 'vdb' });
    expect(await failureOf(merging)).toMatchObject(unsupported);
    const flat = startMove(system, { image: request('rawbase'), to: VAULT, flatten: true });
    expect(await failureOf(flat.then((handle) => handle.result()))).toMatchObject(unsupported);
    expect(await digests(files)).toEqual(before);
  });
});

describe('the children of a driver', () => {
  const size = "<max_size unit='bytes'>2097152</max_size>";
  /** Of the disk with so many layers. */
  async function defineCached(vm: string, layers: number): Promise<void> {
    await defineChain(system.host, vm, inPool(''), layers);
    const xml = (await inactive(vm)).replace(
      new RegExp(
        `(<driver name='qemu' type='qcow2')/>(\\s*<source file='[^']*${vm}-${layers - 1})`,
      ),
      `$1><metadata_cache>${size}</metadata_cache></driver>$2`,
    );
    expect(xml).toContain(size);
    const file = join(system.host.root, `${vm}.xml`);
    await writeFile(file, xml);
    await system.host.virsh('define', file);
  }

  it('stay through a cold merge and a move', async () => {
    await defineCached('cache', 2);
    expect(await merged(system, { vm: 'cache', disk: 'vdb' })).toMatchObject({ mode: 'cold' });
    expect(await inactive('cache')).toContain(size);
    await move('cache');
    expect(await inactive('cache')).toContain(size);
  });

  it('stay through a move of a running VM', async () => {
    await defineCached('livecache', 2);
    await system.host.virsh('start', 'livecache', '--paused');
    await move('livecache');
    expect(await system.host.virsh('dumpxml', 'livecache')).toContain(size);
    expect(await inactive('livecache')).toContain(size);
    await system.host.virsh('destroy', 'livecache');
  });

  it('stay with their layer in a snapshot of a running VM', async () => {
    await defineCached('snapcache', 2);
    await system.host.virsh('start', 'snapcache', '--paused');
    await takeSnapshot(system, { vm: 'snapcache', disks: ['vdb'] });
    expect(await inactive('snapcache')).toContain(size);
    await system.host.virsh('destroy', 'snapcache');
  });

  it('are told where libvirt drops them, in a merge of a running VM', async () => {
    await defineCached('mergecache', 2);
    await system.host.virsh('start', 'mergecache', '--paused');
    const warnings = [expect.stringContaining('<metadata_cache>')];
    const request = { vm: 'mergecache', disk: 'vdb' };
    expect(await merged(system, request)).toMatchObject({ mode: 'active', warnings });
    expect(await inactive('mergecache')).not.toContain(size);
    await system.host.virsh('destroy', 'mergecache');
  });
});

describe('a part of a file as a layer', () => {
  it('is neither moved nor merged while the VM is down: its record would be lost', async () => {
    const path = await createImage(inPool('slice.raw'), { format: 'raw' });
    const slice = "<slices><slice type='storage' offset='0' size='1048576'/></slices>";
    const disk = diskXml(path, 'raw').replace(
      `file='${path}'/>`,
      `file='${path}'>${slice}</source>`,
    );
    await defineShutOff(system.host, 'slice', disk);
    const image = { kind: 'disk', vm: 'slice', disk: 'vdb' } as const;
    const moving = startMove(system, { image, to: VAULT }).then((handle) => handle.result());
    expect(await failureOf(moving)).toMatchObject({
      type: 'Refused',
      code: 'unsupported-format',
      now: expect.stringContaining('<slices>'),
    });
  });
});
