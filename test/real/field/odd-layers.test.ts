/**
 * Layers that differ in size, that QEMU's user may not write, or that another program writes: the
 * disk reads the same after an operation, and the VM starts, or nothing was touched.
 */
import { chmod, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import {
  createImage,
  defineChain,
  defineShutOff,
  diskXml,
  redefine,
} from '../../support/guest/shut-off-vm.ts';
import { sample } from '../../support/sample.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { startRevert } from '../../support/scenes/revert-scene.ts';
import { takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import {
  digests,
  startMove,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'odd' }));
const inPool = (name: string) => join(system.host.pools, POOL, name);
const MIB = 2 ** 20;
let count = 0;

/** What a guest reads of the disk, in MiB from its begin. */
async function contentOf(top: string): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'blockflow-content-'));
  const raw = join(folder, 'raw');
  await execa('qemu-img', ['convert', '-U', '-f', 'qcow2', '-O', 'raw', top, raw]);
  const content = await readFile(raw);
  await rm(folder, { recursive: true });
  return content;
}

/** Layers of these sizes, each with data of its own at its begin and its end. */
async function defineSizes(vm: string, sizes: readonly number[]): Promise<string[]> {
  const files: string[] = [];
  for (const [at, size] of sizes.entries()) {
    const below = files.at(-1);
    const path = await createImage(inPool(`${vm}-${at}`), below === undefined ? {} : { below });
    await execa('qemu-img', ['resize', '-q', '--shrink', '-f', 'qcow2', path, `${size}M`]);
    const places = [at, size - 1 - at].flatMap((mib) => ['-c', `write -P ${at + 1} ${mib}M 64k`]);
    await execa('qemu-io', ['-f', 'qcow2', ...places, path]);
    files.push(path);
  }
  await defineShutOff(system.host, vm, diskXml(files.at(-1) ?? ''));
  await execa('sync', files);
  return files;
}

const [SMALL, LARGE] = [8, 16];
const both = [SMALL, LARGE];
const sizes = both.flatMap((base) =>
  both.flatMap((middle) => both.map((top) => [base, middle, top] as const)),
);
const merges = ['inner', 'shallow', 'all'] as const;
const cases = sizes.flatMap((of) =>
  merges.flatMap((what) => (['down', 'running'] as const).map((state) => ({ of, what, state }))),
);

describe('a merge of layers of other sizes', () => {
  it.each(sample('sizes of layers', cases, 4))('$of MiB, $what, VM $state', async (one) => {
    const { of, what, state } = one;
    const vm = `size${++count}`;
    const files = await defineSizes(vm, of);
    const [base, middle, top] = files as [string, string, string];
    const before = await contentOf(top);
    if (state === 'running') await system.host.virsh('start', vm, '--paused');
    const options = { inner: { top: middle }, shallow: { shallow: true }, all: {} }[what];
    const merging = merged(system, { vm, disk: 'vdb', ...options });
    const [end] = await Promise.allSettled([merging]);
    if (state === 'running') await system.host.virsh('destroy', vm);
    const left = what === 'inner' ? top : what === 'shallow' ? middle : base;
    if (end.status === 'rejected') {
      expect(what).toBe('inner');
      expect(await failureOf(merging)).toMatchObject({ code: 'unsupported-format' });
      expect((await contentOf(top)).equals(before)).toBe(true);
      return;
    }
    const after = await contentOf(left);
    expect(after.subarray(0, before.length).equals(before)).toBe(true);
    const grown = after.length > before.length;
    expect(end.value.warnings.some((words) => words.includes('grows from'))).toBe(grown);
    expect(after.length).toBeGreaterThanOrEqual(before.length);
    expect(before.length % MIB).toBe(0);
  });
});

describe('a layer that QEMU may not write', () => {
  const closed = { type: 'Refused', code: 'closed-volume' };
  const ways: [string, (vm: string, base: string) => Promise<() => Promise<unknown>>][] = [
    [
      'by its mode',
      async (_, base) => {
        await chmod(base, 0o444);
        return () => chmod(base, 0o644);
      },
    ],
    [
      'by its owner, whom the XML keeps',
      async (vm, base) => {
        const label = "<seclabel model='dac' relabel='no'/>";
        await redefine(system.host, vm, (xml) =>
          xml.replace(new RegExp(`(<source file='[^']*/${vm}-1[^>]*)/>`), `$1>${label}</source>`),
        );
        await chmod(base, 0o644);
        await execa('chown', ['root:root', base]);
        return () => execa('chown', ['libvirt-qemu:kvm', base]);
      },
    ],
  ];
  it.each(ways)('%s: nothing is merged into it', async (_name, close) => {
    const vm = `closed${++count}`;
    const { chain } = await defineChain(system.host, vm, inPool(''), 2);
    const end = await close(vm, chain[0] ?? '');
    const before = await digests(chain);
    expect(await failureOf(merged(system, { vm, disk: 'vdb' }))).toMatchObject(closed);
    expect(await digests(chain)).toEqual(before);
    await end();
    expect(await merged(system, { vm, disk: 'vdb' })).toMatchObject({ outcome: 'merged' });
  });

  it('by its mode may be below an overlay of ours', async () => {
    const vm = `closed${++count}`;
    const { chain } = await defineChain(system.host, vm, inPool(''), 1);
    await takeSnapshot(system, { vm, name: 's1', exclude: ['vda'] });
    await chmod(chain[0] ?? '', 0o444);
    const revert = await startRevert(system, { vm, name: 's1' });
    expect(await revert.result()).toMatchObject({ outcome: 'reverted' });
    await system.host.virsh('start', vm, '--paused');
    await system.host.virsh('destroy', vm);
  });
});

describe('a file that a loop device has', () => {
  const loop = async (file: string, ...options: string[]) => {
    const { stdout } = await execa('losetup', ['--find', '--show', ...options, file]);
    return () => execa('losetup', ['--detach', stdout]);
  };
  const inUse = { type: 'Refused', code: 'volume-in-use' };

  it('open for writing is neither merged nor moved', async () => {
    const vm = `loop${++count}`;
    const { chain, image } = await defineChain(system.host, vm, inPool(''), 2);
    const end = await loop(chain[0] ?? '');
    expect(await failureOf(merged(system, { vm, disk: 'vdb' }))).toMatchObject(inUse);
    const move = async () => (await startMove(system, { image, to: VAULT })).result();
    expect(await failureOf(move())).toMatchObject(inUse);
    await end();
    expect(await merged(system, { vm, disk: 'vdb' })).toMatchObject({ outcome: 'merged' });
  });

  it('for reading only may be merged into', async () => {
    const vm = `loop${++count}`;
    const { chain } = await defineChain(system.host, vm, inPool(''), 2);
    const end = await loop(chain[0] ?? '', '--read-only');
    expect(await merged(system, { vm, disk: 'vdb' })).toMatchObject({ outcome: 'merged' });
    await end();
  });

  it('of another program is not written to either', async () => {
    const vm = `loop${++count}`;
    const { chain } = await defineChain(system.host, vm, inPool(''), 2);
    const file = await open(chain[0] ?? '', 'r+');
    expect(await failureOf(merged(system, { vm, disk: 'vdb' }))).toMatchObject(inUse);
    await file.close();
  });
});
