/** Snapshots inside of the images of a VM that is down: taken, refused, interrupted, continued. */
import { beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import type { EffectName } from '../../../activities/door/effect.ts';
import { commandLine, environmentOf, type Typed } from '../../support/host/roles/command-line.ts';
import { says } from '../../support/host/roles/says.ts';
import { armFault, isArmed } from '../../support/faults/faults.ts';
import { leakCluster, takeInner } from '../../support/guest/disks/inner-snapshots.ts';
import { defineChain, redefine } from '../../support/guest/shut-off-vm.ts';
import { listed } from '../../support/guest/disks/three-disks.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { attachRaw, startInside, type InsideScene } from '../../support/scenes/inside-scene.ts';
import { startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { startSnapshot, takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { sample } from '../../support/sample.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';

const system = useSystem(() => startSharedSystem({ name: 'create-inside' }));
const forTest = useEach();
let typed: Typed;
beforeAll(() => void (typed = commandLine(environmentOf(system))));
let count = 0;
let scene: InsideScene;
let vm: string;
const prepare = async (...names: string[]) => {
  vm = `new${++count}`;
  scene = await forTest(startInside(system, vm, names));
};
const request = (more: object = {}) => ({ vm, name: 's1', internal: true, ...more });
const all = (...inside: string[]) => ({ vda: inside, vdb: inside, vdc: inside });

/** libvirt lists it, and goes back to it. */
async function expectTaken(): Promise<void> {
  expect(await listed(scene)).toEqual({ s1: null });
  expect(await scene.inside()).toEqual(all('1 s1'));
  await scene.expectSound();
  await system.host.virsh('snapshot-revert', vm, 's1');
  await scene.guest.start(60_000);
  await scene.guest.waitForAcks(1, 60_000);
  await scene.verifyAfterCrash();
}

describe('snapshot create --internal', () => {
  it('takes it in all images at once, as libvirt lists it and goes back to it', async () => {
    await prepare('s0');
    const command = ['snapshot', 'create', vm, 's1', '--internal', '--description', 'so'];
    await says(
      typed(...command, '--dry-run'),
      0,
      `Snapshot s1 of ${vm} on h1, inside of its images\n`,
      `  vdb       inside of ${scene.images.vdb}\n`,
    );
    await says(
      typed(...command),
      0,
      `Done: snapshot s1 of ${vm} (vda, vdb, vdc) is taken inside of its images\n`,
      `  vdb      ${scene.images.vdb}, id 2\n`,
    );
    await says(typed(...command), 0, 'already done, by this request at 2');
    const other = await typed('snapshot', 'create', vm, 's1', '--internal', '--json');
    expect(JSON.parse(other.printed)).toMatchObject({ code: 'snapshot-exists', exitCode: 3 });
    expect(await listed(scene)).toEqual({ s0: null, s1: 's0' });
    expect((await system.host.virsh('snapshot-current', vm, '--name')).trim()).toBe('s1');
    expect(await scene.inside()).toEqual(all('1 s0', '2 s1'));
    await says(typed(...command, '--quiesce', 'try'), 2, 'needs a guest that runs');
    for (const name of ['s0', 's1']) await system.host.virsh('snapshot-revert', vm, name);
    await scene.expectSound();
    await says(typed('snapshot', 'delete', vm, 's1'), 0, 'deleted from 3 of 3 disks');
  });

  it('takes it of one disk, beside a CD-ROM and what the VM only reads', async () => {
    vm = 'one';
    const { chain } = await defineChain(system.host, vm, `${system.host.pools}/images`, 2);
    await redefine(system.host, vm, (xml) =>
      xml
        .replace(/<disk type='file' device='disk'>(?:(?!<\/disk>)[^])*system[^]*?<\/disk>/, '')
        .replace("<target dev='vdb'", "<target dev='vda'")
        .replace(
          '</devices>',
          `<disk type='file' device='cdrom'><target dev='hda' bus='ide'/><readonly/></disk>
           <disk type='file' device='disk'><driver name='qemu' type='raw'/>
           <source file='/dev/null'/><target dev='vdz' bus='virtio'/><readonly/></disk></devices>`,
        ),
    );
    const { disks } = await takeSnapshot(system, request());
    expect(disks).toEqual([{ disk: 'vda', base: chain[1], overlay: null, id: '1' }]);
    expect((await system.host.virsh('snapshot-list', vm, '--name')).trim()).toBe('s1');
  });
});

/** Nothing is touched. */
async function expectRefused(code: string, now: RegExp, more: object = {}): Promise<void> {
  const before = [await scene.inside(), await listed(scene)];
  const failure = await failureOf(takeSnapshot(system, request(more)));
  expect(failure).toMatchObject({ type: 'Refused', code, now: expect.stringMatching(now) });
  expect([await scene.inside(), await listed(scene)]).toEqual(before);
}

describe('It is refused', () => {
  it('while the VM runs, with the ways that work', async () => {
    await prepare();
    await scene.guest.start(60_000);
    await expectRefused('vm-running', /is running, and images that QEMU has open take none/);
    const { next } = await failureOf(takeSnapshot(system, request()));
    expect(next).toMatch(/without --internal, or .* `virsh snapshot-create-as new\d+`$/);
    await system.host.virsh('managedsave', vm);
    await expectRefused('managed-save', /is saved/);
  });

  it('when the name is taken, also in one image only', async () => {
    await prepare('s1');
    await expectRefused('snapshot-exists', /libvirt lists a snapshot s1/);
    await takeInner(scene.images.vdc, 's2');
    await expectRefused('snapshot-exists', /vdc has one of that name inside \(id 2\)/, {
      name: 's2',
    });
  });

  it('when not every disk that the VM writes can have it', async () => {
    await prepare();
    const words = /on all disks that the VM writes, and vdb cannot be left out/;
    await expectRefused('unsupported-format', words, { exclude: ['vdb'] });
    await expectRefused('unsupported-format', words, { disks: ['vda', 'vdc'] });
    await attachRaw(scene);
    await expectRefused('unsupported-format', /disk vdd is raw, which holds no snapshots/);
  });
});

const points = ['before', 'after'] as const;
const effects: EffectName[] = [
  'image.take-snapshots',
  'libvirt.list-snapshot',
  'image.repair-leaks',
];
const cases = effects.flatMap((effect) => points.map((point) => [effect, point] as const));

/** The agent dies at the effect. */
async function killAt(effect: EffectName, point: string) {
  armFault(system.trace, { effect, action: `kill-${point}` as 'kill-before' });
  const creation = await startSnapshot(system, request());
  await system.roleEnded('host');
  expect(isArmed(system.trace)).toBe(false);
  return creation;
}

describe.each([false, true])('An agent that is killed (terminated, too: %s)', (terminate) => {
  it.each(sample('deaths in creations inside', cases, 2))('at %s, %s', async (effect, point) => {
    await prepare();
    await leakCluster(scene.images.vdb);
    const creation = await killAt(effect, point);
    if (terminate) await creation.terminate();
    await system.startRole('host');
    if (!terminate) await creation.result();
    const again = await takeSnapshot(system, request());
    expect(again.outcome).toBe(terminate ? 'created' : 'already-done');
    await expectTaken();
  });

  it('when only some images have it: it is taken back, and taken of all', async () => {
    await prepare();
    const creation = await killAt('image.take-snapshots', 'before');
    await takeInner(scene.images.vdb, 's1');
    await execa('qemu-io', ['-c', 'write -P 7 4M 64k', '-f', 'qcow2', scene.images.vdc]);
    if (terminate) await creation.terminate();
    await system.startRole('host');
    if (!terminate) await creation.result();
    await takeSnapshot(system, request());
    await expectTaken();
  });
});

describe('A cancel', () => {
  it('is refused when QEMU has been asked, and it is completed', async () => {
    await prepare();
    armFault(system.trace, { effect: 'image.take-snapshots', action: 'stop-before' });
    const creation = await startSnapshot(system, request());
    await system.roleStopped('host');
    await creation.cancel();
    system.signalRole('host', 'SIGCONT');
    const { warnings } = await creation.result();
    expect(warnings).toEqual([expect.stringContaining('cancel refused: QEMU has been asked')]);
    await expectTaken();
  });
});

describe('A VM that is started meanwhile', () => {
  it('before it is taken: told, and the same request goes on later', async () => {
    await prepare();
    await killAt('image.take-snapshots', 'before').then(async (creation) => {
      await scene.guest.start(60_000);
      await scene.guest.waitForAcks(1, 60_000);
      await system.startRole('host');
      const failure = await failureOf(creation.result());
      expect(failure).toMatchObject({ type: 'Retry', code: 'vm-started' });
      expect(failure.now).toMatch(/is running now; no image has it inside$/);
    });
    await scene.guest.kill();
    await takeSnapshot(system, request());
    await expectTaken();
  });

  it('before it is listed: libvirt lists it all the same', async () => {
    await prepare();
    const creation = await killAt('libvirt.list-snapshot', 'before');
    await scene.guest.start(60_000);
    await scene.guest.waitForAcks(1, 60_000);
    await system.startRole('host');
    expect(await creation.result()).toMatchObject({ outcome: 'created' });
    expect(await listed(scene)).toEqual({ s1: null });
    await scene.verifyAfterCrash();
    expect(await scene.inside()).toEqual(all('1 s1'));
    await system.host.virsh('snapshot-revert', vm, 's1');
  });
});
