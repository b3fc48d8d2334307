/**
 * `lock_manager = "lockd"` (D53): libvirt resumes no guest whose disk has switched while it was
 * suspended. What would do that is refused; a guest that was suspended all the same comes back.
 */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import {
  killVirtlockd,
  setLeases,
  startLockManager,
  startVirtlockd,
} from '../../support/host/lock-manager.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { expectMerged, heartbeatNote } from '../../support/scenes/merge-proofs.ts';
import { merged, SMALL } from '../../support/scenes/merge-checks.ts';
import { POOL, startScene, type SceneOptions } from '../../support/scenes/merge-scene.ts';
import { deleteSnapshot, takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { startDisks, startDisksMove } from '../../support/scenes/transfer/disks-scene.ts';
import { expectMoved, startLiveMove } from '../../support/scenes/transfer/live-move-scene.ts';
import { startMove, startMoveSystem, VAULT } from '../../support/scenes/transfer/move-scene.ts';
import { defineChain } from '../../support/guest/shut-off-vm.ts';
import { checkLibvirt } from '../../../worker/doctor/check-libvirt.ts';
import { useHeldSystem } from '../../support/scenes/use-held-system.ts';
import { useEach } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

const { system, held } = useHeldSystem(async (how) => {
  const started = await startMoveSystem({ ...how, name: 'leases' });
  await startLockManager(started.host);
  return started;
});
const forTest = useEach();

const defineVm = (vm: string, layers: number) =>
  defineChain(system.host, vm, join(system.host.pools, POOL), layers);
const merge = (vm: string, more: object = {}) => merged(system, { vm, disk: 'vdb', ...more });
const move = async (vm: string) =>
  (await startMove(system, { image: { kind: 'disk', vm, disk: 'vdb' }, to: VAULT })).result();
const stateOf = async (vm: string) => (await system.host.virsh('domstate', vm)).trim();
const refusal = { type: 'Refused', code: 'lock-manager' };

/** The settings were changed after libvirtd had read them: blockflow sees no leases. */
async function hidden<T>(work: () => Promise<T>): Promise<T> {
  await setLeases(system.host, 'none');
  return work().finally(() => setLeases(system.host, 'all'));
}
const start = (vm: string, more: SceneOptions = {}) =>
  forTest(startScene({ system, vm, guest: SMALL, ...more }));

describe('libvirt leases disks, and the VM runs or is paused', () => {
  it.each(['running', 'paused'])(
    'lock-manager: refuses what ends with a pivot (%s)',
    async (is) => {
      const vm = `leased-${is}`;
      await defineVm(vm, 2);
      await system.host.virsh('start', vm);
      const vdbOnly = ['--disk-only', '--diskspec', 'vda,snapshot=no'];
      await system.host.virsh('snapshot-create-as', vm, 'one', ...vdbOnly);
      if (is === 'paused') await system.host.virsh('suspend', vm);
      const before = await system.host.virsh('dumpxml', vm);
      expect(await failureOf(merge(vm))).toMatchObject(refusal);
      expect(await failureOf(move(vm))).toMatchObject(refusal);
      expect(await failureOf(deleteSnapshot(system, { vm, name: 'one' }))).toMatchObject(refusal);
      const disks = { system, guest: { name: vm } } as Parameters<typeof startDisksMove>[0];
      expect(
        await failureOf((await startDisksMove(disks, { disks: ['vdb'] })).result()),
      ).toMatchObject(refusal);
      expect(await system.host.virsh('dumpxml', vm)).toBe(before);
      expect(await stateOf(vm)).toBe(is);
      await system.host.virsh('destroy', vm);
      // Then there is no lease.
      expect(await merge(vm)).toMatchObject({ outcome: 'merged', mode: 'cold' });
      expect(await move(vm)).toMatchObject({ outcome: 'moved' });
    },
  );

  it('is told by doctor', async () => {
    await defineVm('told', 1);
    const checks = await checkLibvirt(system.host.uri, system.stateDir);
    const words = expect.stringContaining('lock_manager = "lockd"');
    expect(checks).toContainEqual(expect.objectContaining({ state: 'hint', found: words }));
    await hidden(async () => {
      const without = await checkLibvirt(system.host.uri, system.stateDir);
      expect(without.map(({ found }) => found).join()).not.toContain('lock_manager');
    });
  });

  it('merges layers below others, and tells of the leases that libvirt keeps', async () => {
    const { chain } = await defineVm('inner', 4);
    await system.host.virsh('start', 'inner');
    const [base, first, second] = chain;
    const result = await merge('inner', { top: first, base });
    expect(result).toMatchObject({ outcome: 'merged', mode: 'inner' });
    expect(result.warnings.join()).toContain('keeps its leases');
    // One of them is in the way: it is no error that passes by itself.
    expect(await failureOf(merge('inner', { top: second, base }))).toMatchObject({
      ...refusal,
      now: expect.stringContaining('Lockspace resource'),
      next: expect.stringContaining('virsh shutdown inner'),
    });
    await system.host.virsh('suspend', 'inner');
    await system.host.virsh('resume', 'inner');
    await system.host.virsh('destroy', 'inner');
    expect(await merge('inner', { top: second, base })).toMatchObject({ outcome: 'merged' });
  });

  it('takes snapshots, and the guest runs on', async () => {
    const { guest } = await start('web0', { layers: 0 });
    await takeSnapshot(system, { vm: 'web0', name: 'one' });
    await guest.waitForAcks(20);
    await system.host.virsh('suspend', 'web0');
    await takeSnapshot(system, { vm: 'web0', name: 'two' });
    await system.host.virsh('resume', 'web0');
    await guest.waitForAcks(20);
  });

  it('ends a commit with --keep-overlay, which needs no pivot', async () => {
    await defineVm('kept', 2);
    await system.host.virsh('start', 'kept');
    expect(await merge('kept', { keepOverlay: true })).toMatchObject({ mode: 'active' });
    expect(await stateOf('kept')).toBe('running');
  });
});

describe('a guest that libvirt does not resume after the pivot', () => {
  it('is saved and started, and the merge goes on', async () => {
    const scene = await start('web1');
    await hidden(async () => expectMerged(scene, await system.merge({ vm: 'web1', disk: 'vda' })));
    const effects = (await system.effects()).join();
    expect(effects).toContain('libvirt.reload-guest');
  });

  it('is saved and started, and the move goes on', async () => {
    const scene = await start('web2');
    await hidden(async () => expectMoved(scene, await startLiveMove(scene)));
  });

  it('is saved and started, and the move of several disks goes on', async () => {
    const disks = await startDisks(system, 'web3', { count: 2 });
    const result = await hidden(async () => (await startDisksMove(disks)).result());
    expect(result).toMatchObject({ outcome: 'moved' });
    expect(await stateOf('web3')).toBe('running');
    await disks.guest.waitForAcks(20);
    await disks.guest.kill();
  });

  it('is given back by the next agent, where that of the pivot was killed', async () => {
    const scene = await start('web4');
    const uuid = (await system.host.virsh('domuuid', 'web4')).trim();
    await hidden(async () => {
      held.holdBefore(`domblklist ${uuid}`);
      const merging = await system.merge({ vm: 'web4', disk: 'vda' });
      await held.untilHeld();
      await system.killRole('host');
      held.release();
      await system.startRole('host');
      await expectMerged(scene, merging);
    });
  });

  it('is a Hold where libvirt saves it neither, and the same request goes on', async () => {
    const scene = await start('web5');
    const asked = { vm: 'web5', disk: 'vda' };
    const saves = join(system.host.root, 'lib/qemu/save');
    await hidden(async () => {
      await rename(saves, `${saves}.away`);
      await writeFile(saves, '');
      const failure = await failureOf(merged(system, asked));
      expect(failure).toMatchObject({
        type: 'Hold',
        code: 'lock-manager',
        next: expect.stringContaining('`virsh managedsave web5 --running`'),
      });
      expect(await stateOf('web5')).toBe('paused');
      await rm(saves);
      await rename(`${saves}.away`, saves);
      await expectMerged(scene, await system.merge(asked));
    });
  });
});

describe('a guest that libvirt does not resume for another reason', () => {
  it('runs as soon as that is over; status tells it meanwhile', async () => {
    const scene = await start('web6');
    const uuid = (await system.host.virsh('domuuid', 'web6')).trim();
    await hidden(async () => {
      held.holdBefore(`domblklist ${uuid}`);
      const merging = await system.merge({ vm: 'web6', disk: 'vda' });
      await held.untilHeld();
      await killVirtlockd(system.host);
      held.release();
      const words = /suspended for \d+ s: libvirt does not resume it \(.*virtlockd-sock/;
      await waitUntil('the note', async () => words.test(await heartbeatNote(merging)));
      await startVirtlockd(system.host);
      await expectMerged(scene, merging);
    });
  });
});
