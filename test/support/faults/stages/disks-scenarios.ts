/** What makes the effects of a move of several disks happen, of a guest with two each. */
import type { System } from '../../host/system.ts';
import { LASTING, SLOW } from '../../scenes/copying.ts';
import {
  startDisks,
  startDisksMove,
  type DisksHandle,
  type DisksScene,
} from '../../scenes/transfer/disks-scene.ts';
import { unlimit } from '../../scenes/transfer/slow-move.ts';
import { waitUntil } from '../../wait-until.ts';
import type { DisksEffect } from '../effects-of-moves.ts';
import { armFault } from '../faults.ts';
import { pivotInto } from '../struck-libvirtd.ts';
import { runOf, untilWrites, withParts } from './disks-run.ts';
import { leaveSuspended } from './merge-scenarios.ts';
import type { StruckRun } from './stage.ts';

/** What a case has. */
interface Given {
  system: System;
  vm: string;
  /** Guest writes that surround the case. */
  writes: number;
  /** The next passing of the effect is the one to be struck. */
  arm: () => void;
}
type Scenario = (given: Given) => Promise<StruckRun>;

/** Both disks have a layer below the active one, and the VM a snapshot. */
const layered = ({ system, vm }: Given, snapshots = ['s1']) =>
  startDisks(system, vm, { snapshots });

const moving =
  (sources: 'delete' | 'keep', end: 'moved' | 'copied', snapshots?: string[]): Scenario =>
  async (given) => {
    const { writes } = given;
    const scene = await layered(given, snapshots);
    const before = scene.guest.acknowledged();
    await untilWrites(scene, writes);
    given.arm();
    return runOf({ writes, before, scene, end, move: await startDisksMove(scene, { sources }) });
  };
const moved = moving('delete', 'moved');
const copied = moving('keep', 'copied');
/** With a copied layer on another one; the active one names that below it from its start. */
const movedWhole = moving('delete', 'moved', ['s1', 's2']);

/** Mirrors that are met at their work: their limit lets them not end by themselves. */
const slow =
  (steer: (move: DisksHandle) => Promise<unknown>, end: 'moved' | 'cancelled'): Scenario =>
  async (given) => {
    const { writes } = given;
    const scene = await startDisks(given.system, given.vm, LASTING);
    const before = scene.guest.acknowledged();
    const move = await startDisksMove(scene, { bandwidthBytesPerSecond: SLOW });
    await untilMirrors(scene);
    given.arm();
    return runOf({ writes, before, scene, move, steered: steer(move), end });
  };

async function untilMirrors({ system, guest, disks }: DisksScene): Promise<void> {
  for (const disk of Object.keys(disks)) {
    await waitUntil(`the mirror of ${disk}`, async () =>
      (await system.host.virsh('blockjob', guest.name, disk, '--raw')).includes('type='),
    );
  }
}

function inTurn(scenarios: readonly Scenario[]): Scenario {
  let count = 0;
  return (given) => (scenarios[count++ % scenarios.length] ?? moved)(given);
}

/** All ended where both mirrors are READY: the operation, those on its disks, the agent. */
async function endedAtReady({ system }: Given, scene: DisksScene): Promise<void> {
  armFault(system.trace, { effect: 'libvirt.pivot', action: 'stop-before' });
  const earlier = withParts(scene, await startDisksMove(scene));
  await system.roleStopped('host');
  await earlier.terminate();
  await system.killRole('host');
  await leaveSuspended({ system, guest: scene.guest }, reportsOf(scene));
}

/** Of one suspension, as its script names the disks in it: the guest waits for all of them. */
function reportsOf({ disks, moved }: DisksScene): Record<string, string[]> {
  const all = `with=${Object.keys(disks).join(' ')}`;
  const entries = Object.entries(disks).map(([disk, from]) => [
    disk,
    ['job=copy', `from=${from}`, `to=${moved[disk]}`, all],
  ]);
  return Object.fromEntries(entries) as Record<string, string[]>;
}

const suspended: Scenario = async (given) => {
  const { writes } = given;
  const scene = await layered(given);
  const before = scene.guest.acknowledged();
  await endedAtReady(given, scene);
  await given.system.startRole('host');
  given.arm();
  return runOf({ writes, before, scene, move: await startDisksMove(scene) });
};

/** libvirtd did not survive the pivot of the first disk; the second is at READY. */
const forgotten: Scenario = async (given) => {
  const { writes } = given;
  const scene = await layered(given);
  const before = scene.guest.acknowledged();
  await endedAtReady(given, scene);
  await pivotInto(given.system.host, scene.guest.name, { file: 'status', time: 1 });
  await given.system.startRole('host');
  given.arm();
  return runOf({ writes, before, scene, move: await startDisksMove(scene) });
};

/** What makes an effect happen. A new effect of a move needs one, or is of one disk. */
export const disksScenarios: Record<DisksEffect, Scenario> = {
  'storage.reserve-image': moved,
  'image.hold': moved,
  'image.start-copy': moved,
  'image.end-copy': moved,
  'image.complete-copy': moved,
  'image.pass-verification': moved,
  'image.create-top': moved,
  'qemu-img.rebase': movedWhole,
  'storage.name-volume': moved,
  'libvirt.start-mirror': moved,
  'libvirt.set-job-bandwidth': slow((move) => unlimit(move), 'moved'),
  'libvirt.pivot': moved,
  'libvirt.resume-guest': suspended,
  'libvirt.reload-guest': forgotten,
  'libvirt.abort-job': inTurn([copied, slow((move) => move.cancel(), 'cancelled')]),
  'libvirt.redefine-snapshot': moved,
  'image.release': moved,
  'storage.remove-reservation': moved,
  'audit.append-event': moved,
};
