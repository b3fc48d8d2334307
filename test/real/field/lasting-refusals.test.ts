/**
 * What a tool or libvirt refuses for good ends the operation before its point of no return, and is
 * told at once after it: words, where `lasting-errors` has errors of file systems.
 */
import { mkdir, open, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { statusQuery } from '../../../workflows/kinds.ts';
import { armFault } from '../../support/faults/faults.ts';
import {
  createImage,
  defineChain,
  defineShutOff,
  diskXml,
  redefine,
} from '../../support/guest/shut-off-vm.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import {
  inVault,
  startMove,
  startMoveSystem,
  startRemoval,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

const small = use('a file system of its own', () => mountOwn('ext4', 64));
const system = useSystem(async () => {
  const started = await startMoveSystem({ name: 'refusals' });
  await started.host.definePool('small', small.path);
  return started;
});
const inPool = (name = '') => join(system.host.pools, POOL, name);
const virsh = (...args: string[]) => system.host.virsh(...args);

type Moved = { format?: 'raw' | 'qcow2' };
const moveOf = async (vm: string, more: Moved = {}) => {
  const image = { kind: 'disk', vm, disk: 'vdb' } as const;
  return (await startMove(system, { image, to: VAULT, ...more })).result();
};
const removalOf = async (volume: string, pool = POOL, format: 'raw' | 'qcow2' = 'qcow2') =>
  (await startRemoval(system, { pool, volume, format, wipe: false })).result();

const running = new Set<string>();
const immutable = new Set<string>();
afterEach(async () => {
  for (const vm of running) await virsh('destroy', vm).catch(() => '');
  for (const path of immutable) await makeChangeable(path);
  running.clear();
});
async function start(vm: string): Promise<void> {
  running.add(vm);
  await virsh('start', vm, '--paused');
}
async function makeImmutable(path: string): Promise<void> {
  immutable.add(path);
  await execa('chattr', ['+i', path]);
}
async function makeChangeable(path: string): Promise<void> {
  await execa('chattr', ['-i', path]);
  immutable.delete(path);
}

describe('what only qcow2 has in a driver, where the layer is raw afterwards', () => {
  const CACHE = "<metadata_cache><max_size unit='bytes'>2097152</max_size></metadata_cache>";
  const cached = (path: string) => diskXml(path).replace("'qcow2'/>", `'qcow2'>${CACHE}</driver>`);
  const told = { warnings: [expect.stringContaining('<metadata_cache>')] };

  it('is dropped by a cold merge, and told', async () => {
    const below = await createImage(inPool('rawbase.raw'), { format: 'raw' });
    const top = await createImage(inPool('rawbase.top'), { below, belowFormat: 'raw' });
    await defineShutOff(system.host, 'rawbase', cached(top));
    const result = await merged(system, { vm: 'rawbase', disk: 'vdb' });
    expect(result).toMatchObject({ outcome: 'merged', chainAfter: [below], ...told });
    await start('rawbase');
  });

  it('is dropped by a cold move to raw, and told', async () => {
    await defineShutOff(system.host, 'toraw', cached(await createImage(inPool('toraw.qcow2'))));
    expect(await moveOf('toraw', { format: 'raw' })).toMatchObject({ outcome: 'moved', ...told });
    await start('toraw');
  });

  it('is dropped by a move to raw of a VM that runs, and told', async () => {
    await defineShutOff(system.host, 'liveraw', cached(await createImage(inPool('liveraw.qcow2'))));
    await start('liveraw');
    expect(await moveOf('liveraw', { format: 'raw' })).toMatchObject({ outcome: 'moved', ...told });
  });
});

describe('a VM whose emulator is not there', () => {
  async function defineWithout(vm: string, layers: number): Promise<string> {
    await defineChain(system.host, vm, inPool(), layers);
    const emulator = join(system.host.root, `qemu-${vm}`);
    const given = /<emulator>(.*)<\/emulator>/.exec(await virsh('dumpxml', vm))?.[1] ?? '';
    await symlink(given, emulator);
    const named = `<emulator>${emulator}</emulator>`;
    await redefine(system.host, vm, (xml) => xml.replace(/<emulator>.*<\/emulator>/, named));
    return emulator;
  }
  const refusal = { type: 'Refused', now: expect.stringContaining('Cannot check QEMU binary') };

  it('is refused when a merge or a move of it is planned', async () => {
    await rm(await defineWithout('foreign', 2));
    const before = await virsh('dumpxml', 'foreign');
    expect(await failureOf(merged(system, { vm: 'foreign', disk: 'vdb' }))).toMatchObject(refusal);
    expect(await failureOf(moveOf('foreign'))).toMatchObject(refusal);
    expect(await virsh('dumpxml', 'foreign')).toBe(before);
  });

  const ended = { type: 'Retry', code: 'command-failed', now: refusal.now };
  /** The operation stands right before libvirt's record is switched. */
  async function whileAtSwitch<T>(operation: () => Promise<T>, then: () => Promise<unknown>) {
    armFault(system.trace, { effect: 'libvirt.switch-disk-source', action: 'stop-before' });
    const going = operation();
    await system.roleStopped('host');
    await then();
    system.signalRole('host', 'SIGCONT');
    return going;
  }

  it('gives a merge up at the switch, which leaves the VM as it was', async () => {
    const emulator = await defineWithout('foreignmerge', 2);
    const before = await virsh('dumpxml', 'foreignmerge');
    const merge = () => failureOf(merged(system, { vm: 'foreignmerge', disk: 'vdb' }));
    expect(await whileAtSwitch(merge, () => rm(emulator))).toMatchObject(ended);
    const after = await virsh('dumpxml', 'foreignmerge');
    expect(after.replace(/\n *<metadata\/>/, '')).toBe(before);
    expect(await poolFiles(inPool())).toContain('foreignmerge-1.qcow2');
  });

  it('gives a move up at the switch, and its copies go', async () => {
    const emulator = await defineWithout('foreignmove', 1);
    const before = await virsh('dumpxml', 'foreignmove');
    const move = () => failureOf(moveOf('foreignmove'));
    expect(await whileAtSwitch(move, () => rm(emulator))).toMatchObject(ended);
    await waitUntil('the copies to go', async () => {
      const files = await poolFiles(inVault(system, ''));
      return !files.includes('foreignmove-0.qcow2');
    });
    expect(await virsh('dumpxml', 'foreignmove')).toBe(before);
  });
});

async function overwrite(path: string, at: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, at);
  await file.close();
}

describe('an image that qemu-img cannot read', () => {
  const refusal = { type: 'Refused', code: 'unsupported-format' };

  it('with a feature that QEMU does not know is refused', async () => {
    const { chain } = await defineChain(system.host, 'feature', inPool(), 2);
    // The last bit of the incompatible features.
    await overwrite(chain[0] ?? '', 72, Buffer.of(0x80));
    expect(await failureOf(merged(system, { vm: 'feature', disk: 'vdb' }))).toMatchObject(refusal);
    expect(await failureOf(moveOf('feature'))).toMatchObject(refusal);
  });

  it('with an overwritten header is refused', async () => {
    const { chain } = await defineChain(system.host, 'zeroed', inPool(), 2);
    await overwrite(chain[1] ?? '', 0, Buffer.alloc(64));
    expect(await failureOf(merged(system, { vm: 'zeroed', disk: 'vdb' }))).toMatchObject(refusal);
    expect(await failureOf(moveOf('zeroed'))).toMatchObject(refusal);
  });

  it('that is a folder is refused', async () => {
    await mkdir(inPool('folder'));
    const removal = removalOf('folder', POOL, 'raw');
    expect(await failureOf(removal)).toMatchObject(refusal);
  });
});

describe('a file that may not be changed', () => {
  const next = expect.stringContaining('chattr -i');

  it('is not removed, and says what to do', async () => {
    await makeImmutable(await createImage(inPool('fixed.qcow2')));
    expect(await failureOf(removalOf('fixed.qcow2'))).toMatchObject({ type: 'Refused', next });
  });

  it.each([0, 1])('stops a merge when it is planned, at place %i', async (at) => {
    const { chain } = await defineChain(system.host, `fixed${at}`, inPool(), 2);
    await makeImmutable(chain[at] ?? '');
    const merge = () => failureOf(merged(system, { vm: `fixed${at}`, disk: 'vdb' }));
    expect(await merge()).toMatchObject({ type: 'Refused', next });
  });

  it('after the pivot is told at once, and the merge goes on without it', async () => {
    const { chain } = await defineChain(system.host, 'late', inPool(), 2);
    await start('late');
    armFault(system.trace, { effect: 'libvirt.pivot', action: 'stop-before' });
    const merge = await system.merge({ vm: 'late', disk: 'vdb' });
    await system.roleStopped('host');
    await makeImmutable(chain[1] ?? '');
    system.signalRole('host', 'SIGCONT');
    const stuck = async () => (await merge.query(statusQuery)).stuck ?? undefined;
    expect(await waitUntil('that to be told', stuck)).toContain('chattr -i');
    await makeChangeable(chain[1] ?? '');
    expect(await merge.result()).toMatchObject({ outcome: 'merged', deleted: [chain[1]] });
  });

  it('in a pool that is mounted read-only is refused with that', async () => {
    await createImage(join(small.path, 'unwritable.qcow2'));
    await system.killRole('spm');
    await execa('mount', ['-o', 'remount,ro', small.path]);
    try {
      const removal = removalOf('unwritable.qcow2', 'small');
      expect(await failureOf(removal)).toMatchObject({ type: 'Refused', code: 'read-only-pool' });
    } finally {
      await execa('mount', ['-o', 'remount,rw', small.path]);
      await system.startRole('spm');
    }
  });
});
