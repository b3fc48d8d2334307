/** `--flatten`: one volume in the target instead of the chain. */
import { writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import type { MoveImageRequest } from '../../../workflows/transfer/request.ts';
import { armFault } from '../../support/faults/faults.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { SMALL } from '../../support/scenes/merge-checks.ts';
import { startScene, type Scene, type SceneOptions } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  diskOf,
  effectsOn,
  expectBoots,
  inVault,
  recordOf,
  startCopy,
  startMove,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import {
  expectMoved,
  expectNotMoved,
  startSlowMirror,
  untilMirroring,
} from '../../support/scenes/transfer/live-move-scene.ts';
import { startDeltaScene } from '../../support/scenes/transfer/delta-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { unlimit } from '../../support/scenes/transfer/slow-move.ts';
import { useEach } from '../../support/use.ts';

const system = useSystem(() => startMoveSystem({ name: 'flatten' }));
const forTest = useEach();
const MIB = 2 ** 20;

const running = (options: SceneOptions) =>
  forTest(startScene({ system, layers: 2, guest: SMALL, ...options }));
const flattened = ({ guest }: Scene, more: Partial<MoveImageRequest> = {}) =>
  startMove(system, { image: diskOf(guest.name), flatten: true, ...more });

/** As it is to be after the move: its chain is the one volume. */
const asFlat = (scene: Scene, format: 'qcow2' | 'raw' = 'qcow2'): Scene => {
  const top = scene.chain.at(-1) ?? '';
  const name = `${basename(top, '.qcow2')}.${format}`;
  return { ...scene, chain: [join(dirname(top), name)] };
};

async function infoOf(file: string, format = 'qcow2') {
  const args = ['info', '-U', '-f', format, '--output=json', file];
  return JSON.parse((await execa('qemu-img', args)).stdout) as Record<string, unknown>;
}
const xmlOf = (vm: string, ...which: string[]) => system.host.virsh('dumpxml', vm, ...which);
const mirrors = async (vm: string) =>
  (await effectsOn(system, 'libvirt.start-mirror', `${vm}/`)).length;

describe('a running VM', () => {
  it('has one volume instead of three, while its guest writes', async () => {
    const scene = await running({ vm: 'flat' });
    const move = await flattened(scene);
    expect(await move.result()).toMatchObject({ outcome: 'moved', verified: false });
    const top = asFlat(scene).chain[0] ?? '';
    expect(await infoOf(inVault(system, top))).not.toHaveProperty('backing-filename');
    expect(await xmlOf('flat')).not.toContain("<backingStore type='file'");
    expect(await xmlOf('flat', '--inactive')).not.toContain("<backingStore type='file'");
    await expectMoved(asFlat(scene), move);
  });

  it.each(['raw', 'qcow2'] as const)('is on one %s volume with --format', async (format) => {
    const base = { vm: `flat-${format}`, format: 'raw', layers: 1 } as const;
    const scene = await running(base);
    const move = await flattened(scene, { format });
    await move.result();
    const xml = await xmlOf(base.vm, '--inactive');
    expect(xml).toMatch(new RegExp(`<driver [^>]*type='${format}'`));
    await expectMoved(asFlat(scene, format), move);
  });

  it.each([
    ['qcow2', 'raw'],
    ['raw', 'qcow2'],
  ] as const)('with one %s volume has a %s one with --format', async (from, format) => {
    const vm = `to-${format}`;
    const scene = await running({ vm, layers: 0, format: from });
    const move = await startMove(system, { image: diskOf(vm), format });
    await move.result();
    expect(await xmlOf(vm)).toMatch(new RegExp(`<driver [^>]*type='${format}'`));
    await expectMoved({ ...scene, chain: [join(scene.pool, `${vm}.${format}`)] }, move);
  });

  it('is gone on with by the same request after a terminate, and by no other one', async () => {
    const scene = await forTest(startDeltaScene(system, { vm: 'again', bytes: 24 * MIB }));
    await (await startSlowMirror(scene, { flatten: true })).terminate();
    const other = await startSlowMirror(scene);
    expect(await mirrors('again')).toBe(2);
    await other.terminate();
    await (await startSlowMirror(scene, { flatten: true })).terminate();
    expect(await mirrors('again')).toBe(3);
    const move = await flattened(scene);
    await untilMirroring(scene, move);
    await unlimit(move);
    await expectMoved(asFlat(scene), move);
    expect(await mirrors('again')).toBe(3);
  });

  it('goes on cold when it stops', async () => {
    const scene = await forTest(startDeltaScene(system, { vm: 'stops', bytes: 24 * MIB }));
    const move = await startSlowMirror(scene, { flatten: true, onVmStop: 'continue' });
    await untilMirroring(scene, move);
    await system.host.virsh('destroy', 'stops');
    await unlimit(move);
    await expectMoved(asFlat(scene), move, 'shut off');
  });

  it('stays on its chain when the move is cancelled', async () => {
    const scene = await forTest(startDeltaScene(system, { vm: 'stays', bytes: 24 * MIB }));
    const move = await startSlowMirror(scene, { flatten: true });
    await move.cancel();
    await expect(move.result()).rejects.toThrow();
    await expectNotMoved(scene, move);
  });

  it('runs on with its copy when the agent died in the pivot', async () => {
    const scene = await running({ vm: 'dies' });
    armFault(system.trace, { effect: 'libvirt.pivot', action: 'stop-after' });
    const move = await flattened(scene);
    await system.roleStopped('host');
    await system.killRole('host');
    await system.startRole('host');
    await expectMoved(asFlat(scene), move);
  });
});

describe('a VM that is down', () => {
  it.each([
    ['qcow2', 'off'],
    ['raw', 'off'],
    ['qcow2', 'falloc'],
    ['raw', 'full'],
  ] as const)('boots from one %s volume, preallocation %s', async (format, preallocation) => {
    const vm = `down-${format}-${preallocation}`;
    const scene = await running({ vm });
    await scene.guest.kill();
    const [before] = await contents(scene.chain.slice(-1));
    const move = await flattened(scene, { format, preallocation });
    const target = inVault(system, asFlat(scene, format).chain[0] ?? '');
    const result = await move.result();
    expect(result).toMatchObject({ outcome: 'moved', verified: true, chainAfter: [target] });
    expect(await contents([target], [format])).toEqual([before]);
    expect(await infoOf(target, format)).not.toHaveProperty('backing-filename');
    expect(await recordOf(system, vm)).toBe(target);
    await expectBoots(scene);
  });

  it('has a copy of one volume', async () => {
    const scene = await running({ vm: 'copied' });
    await scene.guest.kill();
    const [before] = await contents(scene.chain.slice(-1));
    const copy = await startCopy(system, {
      image: diskOf('copied'),
      to: VAULT,
      name: 'one',
      flatten: true,
    });
    const target = inVault(system, 'one.qcow2');
    expect(await copy.result()).toMatchObject({ outcome: 'copied', chainAfter: [target] });
    expect(await contents([target])).toEqual([before]);
    expect(await recordOf(system, 'copied')).toBe(scene.chain.at(-1));
  });
});

describe('has-snapshots: a move is refused', () => {
  it.each([
    ['runs', true],
    ['is down', false],
  ])('of a VM that %s, by their names', async (_, isRunning) => {
    const vm = isRunning ? 'has' : 'had';
    const scene = await running({ vm, snapshotNames: ['s1', 's2'] });
    if (!isRunning) await scene.guest.kill();
    const failure = await failureOf((await flattened(scene)).result());
    expect(failure).toMatchObject({ type: 'Refused', code: 'has-snapshots' });
    expect(failure.now).toContain('s1, s2');
    expect(failure.next).toContain(`blockflow snapshot delete ${vm}`);
    expect(await scene.files()).toEqual(scene.chain.map((file) => basename(file)).sort());
  });

  it('also when one is defined before the switch; the source is as it was', async () => {
    const scene = await running({ vm: 'late' });
    await scene.guest.kill();
    armFault(system.trace, { effect: 'storage.name-volume', action: 'stop-after' });
    const move = await flattened(scene);
    await system.roleStopped('spm');
    const xml = join(system.host.root, 'late.xml');
    const domain = (await xmlOf('late', '--inactive')).replace(/<\?xml.*\?>/, '');
    await writeFile(
      xml,
      `<domainsnapshot><name>s1</name><state>shutoff</state><creationTime>1</creationTime>
       <memory snapshot='no'/><disks><disk name='vda' snapshot='internal'/></disks>${domain}
       </domainsnapshot>`,
    );
    await system.host.virsh('snapshot-create', 'late', xml, '--redefine');
    system.signalRole('spm', 'SIGCONT');
    const failure = await failureOf(move.result());
    expect(failure).toMatchObject({ type: 'Refused', code: 'has-snapshots' });
    expect(failure.now).toContain('s1');
    expect(await recordOf(system, 'late')).toBe(scene.chain.at(-1));
  });
});
