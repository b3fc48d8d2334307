/**
 * Disks as other tools define them, and long chains: they work, and one VM that is odd stops no
 * operation on another one (FF-01 to FF-04).
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { isNewer } from '../../support/host/libvirt-version.ts';
import {
  createImage,
  defineChain,
  defineShutOff,
  diskXml,
} from '../../support/guest/shut-off-vm.ts';
import { commandLine, environmentOf } from '../../support/host/roles/command-line.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  removalOf,
  startMove,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { argumentsOf, otherPids, programOf } from '../../support/host/processes.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'neighbours' }));
const inPool = (name = '') => join(system.host.pools, POOL, name);
const virsh = (...args: string[]) => system.host.virsh(...args);
const running = new Set<string>();
afterEach(async () => {
  for (const vm of running) await virsh('destroy', vm).catch(() => '');
  running.clear();
});

async function start(vm: string): Promise<void> {
  running.add(vm);
  await virsh('start', vm, '--paused');
}

/** A disk as Terraform and virt-manager define it. */
const volumeDisk = (volume: string) =>
  `<disk type='volume' device='disk'><driver name='qemu' type='qcow2'/>` +
  `<source pool='${POOL}' volume='${volume}'/><target dev='vdb' bus='virtio'/></disk>`;

describe('A chain of more than 100 layers', () => {
  it('merges while its VM runs, and stops no other VM', async () => {
    const layers = 110;
    const names = Array.from({ length: layers }, (_, at) => inPool(`deep-${at}`));
    for (const [at, path] of names.entries()) {
      const below = names[at - 1];
      await createImage(path, below === undefined ? {} : { below });
    }
    await defineShutOff(system.host, 'deep', diskXml(names.at(-1) ?? ''));
    // libvirt 11.3 starts no VM on so many ("nesting too deep").
    const runs = !(await isNewer(system.host));
    if (runs) await start('deep');
    const { chain } = await defineChain(system.host, 'beside', inPool(), 2);
    expect(await merged(system, { vm: 'beside', disk: 'vdb' })).toMatchObject({ mode: 'cold' });
    expect(await contents(chain.slice(0, 1))).toHaveLength(1);
    const result = await merged(system, { vm: 'deep', disk: 'vdb' });
    const mode = runs ? 'active' : 'cold';
    expect(result).toMatchObject({ outcome: 'merged', mode, chainAfter: [names[0]] });
  });
});

describe('A saved guest that libvirt cannot read', () => {
  it('stops operations on the files that it names, and is told by others', async () => {
    const [dreamt] = (await defineChain(system.host, 'dreamer', inPool(), 1)).chain;
    for (const command of ['start', 'managedsave']) await virsh(command, 'dreamer');
    await virsh('detach-disk', 'dreamer', 'vdb', '--config');
    await overwrite(join(system.host.root, 'lib/qemu/save/dreamer.save'), Buffer.alloc(64));
    await defineChain(system.host, 'awake', inPool(), 2);
    const warnings = [expect.stringContaining('the saved guest of VM dreamer cannot be read')];
    const merge = merged(system, { vm: 'awake', disk: 'vdb' });
    expect(await merge).toMatchObject({ outcome: 'merged', warnings });
    await defineShutOff(system.host, 'heir', diskXml(dreamt ?? ''));
    const move = startMove(system, { image: { kind: 'disk', vm: 'heir', disk: 'vdb' }, to: VAULT });
    const failure = failureOf(move.then((handle) => handle.result()));
    expect(await failure).toMatchObject({ type: 'Hold', code: 'unproven' });
    const { printed } = await commandLine(environmentOf(system))('doctor');
    expect(printed).toContain('the saved guest of dreamer cannot be read');
    await virsh('managedsave-remove', 'dreamer');
  });
});

describe('A volume that is being cloned by libvirt', () => {
  it('stops no operation of its pool, whose list is made once it is over', async () => {
    const source = inPool('large.qcow2');
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', source, '1G']);
    await execa('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 0 1G', source]);
    await virsh('pool-refresh', POOL);
    const { chain } = await defineChain(system.host, 'besides', inPool(), 2);
    await virsh('pool-refresh', POOL);
    const cloning = virsh('vol-clone', '--pool', POOL, 'large.qcow2', 'clone.qcow2');
    const pid = await waitUntil('qemu-img to clone it', clonerPid, { intervalMs: 2 });
    process.kill(pid, 'SIGSTOP');
    try {
      await expect(virsh('pool-refresh', POOL)).rejects.toThrow('asynchronous jobs');
      await takeSnapshot(system, { vm: 'besides', disks: ['vdb'], name: 's1' });
      const merge = merged(system, { vm: 'besides', disk: 'vdb' });
      expect(await merge).toMatchObject({ outcome: 'merged', chainAfter: [chain[0]] });
      expect(await virsh('vol-list', POOL)).toContain('besides-1.qcow2');
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await cloning;
    await waitUntil('libvirt to list the pool', async () => {
      const listed = await virsh('vol-list', POOL);
      return !listed.includes('besides-1.qcow2') && listed.includes('clone.qcow2');
    });
  });
});

const clonerPid = () =>
  otherPids().find(
    (pid) =>
      programOf(pid) === 'qemu-img' && argumentsOf(pid).some((a) => a === inPool('clone.qcow2')),
  );

async function overwrite(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, 0);
  await file.close();
}

describe('A volume of a pool as a disk', () => {
  it('with a backing file stops no other disk, and no doctor', async () => {
    const below = await createImage(inPool('x-0'));
    await createImage(inPool('x-1'), { below });
    await virsh('pool-refresh', POOL);
    await defineShutOff(system.host, 'terraform', volumeDisk('x-1'));
    await start('terraform');
    await defineChain(system.host, 'plain', inPool(), 2);
    expect(await merged(system, { vm: 'plain', disk: 'vdb' })).toMatchObject({ outcome: 'merged' });
    const { printed } = await commandLine(environmentOf(system))('doctor');
    expect(printed).toContain('libvirt');
    expect(printed).not.toContain('cannot be used');
    expect(printed).not.toContain('cannot be read');
  });

  it('below a snapshot merges live and cold, and moves', async () => {
    for (const vm of ['live', 'cold', 'moves']) {
      const path = await createImage(inPool(`${vm}-y`));
      await execa('qemu-io', ['-f', 'qcow2', '-c', 'write -P 5 1M 1M', path]);
      const [before] = await contents([path]);
      await virsh('pool-refresh', POOL);
      await defineShutOff(system.host, vm, volumeDisk(`${vm}-y`));
      await start(vm);
      const spec = ['--diskspec', 'vda,snapshot=no', '--diskspec', `vdb,file=${inPool(`${vm}-s`)}`];
      await virsh('snapshot-create-as', vm, 's1', '--disk-only', ...spec);
      if (vm !== 'live') await virsh('destroy', vm);
      if (vm === 'moves') {
        const image = { kind: 'disk', vm, disk: 'vdb' } as const;
        const result = await (await startMove(system, { image, to: VAULT })).result();
        await removalOf(system, result);
        expect(await contents(result.chainAfter.slice(0, 1))).toEqual([before]);
      } else {
        const result = await merged(system, { vm, disk: 'vdb' });
        expect(result).toMatchObject({ outcome: 'merged', chainAfter: [path] });
        await virsh('destroy', vm).catch(() => '');
        expect(await contents([path])).toEqual([before]);
      }
      await start(vm);
    }
  });

  it('moves, and is named by its path afterwards', async () => {
    await createImage(inPool('z'));
    await virsh('pool-refresh', POOL);
    await defineShutOff(system.host, 'active', volumeDisk('z'));
    const image = { kind: 'disk', vm: 'active', disk: 'vdb' } as const;
    const result = await (await startMove(system, { image, to: VAULT })).result();
    await removalOf(system, result);
    expect(await virsh('dumpxml', 'active')).toContain(`file='${result.chainAfter[0]}'`);
    await start('active');
  });
});
