/** Another program changes the layers of a VM while its snapshot is being taken. */
import { beforeEach, expect, it } from '@jest/globals';
import { basename, join } from 'node:path';
import type { EffectName } from '../../../activities/door/effect.ts';
import { OWN_FOLDER } from '../../../activities/pool-folder/own-folder.ts';
import { armFault, disarmFault } from '../../support/faults/faults.ts';
import { backingName } from '../../support/guest/disks/relative-chain.ts';
import { expectGuestData } from '../../support/guest/guest-data.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import {
  defineSeveralDisks,
  imagesOf,
  sourcesOf,
  startSnapshot,
  takeSnapshot,
  type Creation,
  type SeveralDisks,
} from '../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startSharedSystem({ name: 'overtaken' }));
let count = 0;
let scene: SeveralDisks;
const vm = () => scene.guest.name;
beforeEach(async () => {
  scene = await defineSeveralDisks(system, `overtaken${++count}`, 2);
  await scene.guest.start(60_000);
  await scene.guest.waitForAcks(20);
});

/** A creation whose agent stands still right before an effect. */
async function standing(role: 'host' | 'spm', effect: EffectName): Promise<Creation> {
  armFault(system.trace, { effect, action: 'stop-before' });
  const creation = await startSnapshot(system, { vm: vm(), name: 's1' });
  await system.roleStopped(role);
  disarmFault(system.trace);
  return creation;
}

/** What a person does meanwhile, on one of the two disks. */
const snapshotByVirsh = () =>
  system.host.virsh(
    ...['snapshot-create-as', vm(), 'theirs', '--disk-only', '--atomic', '--no-metadata'],
    ...['--diskspec', 'vdb,snapshot=no'],
  );

/** Of this VM, and what blockflow keeps of it. */
async function files(): Promise<string[]> {
  const names = await poolFiles(join(system.host.pools, POOL));
  return names.filter((name) => name.startsWith(vm()) || name.startsWith(OWN_FOLDER)).sort();
}

const withEnding = (path: string | undefined, ending: string) => path?.replace(/[^.]*$/, ending);

async function expectBothThere(name: string) {
  const { vda, vdb } = scene.disks;
  const wanted = { vda: withEnding(vda, name), vdb: withEnding(vdb, name) };
  expect(await sourcesOf(system, vm())).toEqual(wanted);
  expect(await sourcesOf(system, vm(), '--inactive')).toEqual(wanted);
  // Also after a restart, for which the header counts.
  const overlay = wanted.vda ?? '';
  expect(await backingName(overlay)).toBe(basename(withEnding(vda, 'theirs') ?? ''));
  await scene.guest.waitForAcks(20);
  await scene.guest.kill();
  await expectGuestData(scene.guest, ...imagesOf(await sourcesOf(system, vm(), '--inactive')));
}

const moments = [
  ['before its overlays are made', 'spm', 'storage.reserve-overlays'],
  ['right before the switch', 'host', 'libvirt.take-snapshot'],
] as const;
it.each(moments)('goes on from the layers of a person who was first, %s', async (...moment) => {
  const [, role, effect] = moment;
  const creation = await standing(role, effect);
  await snapshotByVirsh();
  system.signalRole(role, 'SIGCONT');
  expect(await creation.result()).toMatchObject({ outcome: 'created' });
  const before = await files();
  await expectBothThere('s1');
  const base = vm();
  const both = [`${base}-b.qcow2`, `${base}-b.s1`, `${base}.qcow2`, `${base}.s1`];
  expect(before).toEqual([...both, `${base}.theirs`].sort());
});

it('is given up by the next request, when its own was terminated', async () => {
  const creation = await standing('host', 'libvirt.take-snapshot');
  await creation.terminate();
  await system.killRole('host');
  await snapshotByVirsh();
  await system.startRole('host');
  expect(await takeSnapshot(system, { vm: vm(), name: 's2' })).toMatchObject({
    outcome: 'created',
  });
  expect((await files()).filter((name) => /s1|^\.blockflow/.test(name))).toEqual([]);
  await expectBothThere('s2');
});

it('is kept when a guest wrote to it, and nothing names it any more', async () => {
  const creation = await standing('host', 'libvirt.list-snapshot');
  await creation.terminate();
  await system.killRole('host');
  await scene.guest.waitForAcks(20);
  await scene.guest.kill();
  for (const [disk, path] of Object.entries(scene.disks)) {
    await system.host.virsh('detach-disk', vm(), disk, '--config');
    await system.host.virsh(
      ...['attach-disk', vm(), path, disk, '--config', '--driver', 'qemu', '--subdriver', 'qcow2'],
    );
  }
  await system.startRole('host');
  const failure = await failureOf(takeSnapshot(system, { vm: vm(), name: 's2' }));
  expect(failure).toMatchObject({ type: 'Hold', code: 'divergent-chain' });
  expect(failure.now).toContain('holds what a guest wrote');
  expect(await files()).toEqual(
    expect.arrayContaining([`${vm()}.s1`, `${vm()}-b.s1`, expect.stringContaining(OWN_FOLDER)]),
  );
});
