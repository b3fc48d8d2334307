/**
 * Agent, script, libvirtd and QEMU die in the suspension in which several disks of a VM switch: the
 * first one has switched, the second has not. The guest writes to both in order all the time.
 */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { expectGuestData, expectOneCut } from '../../../support/guest/guest-data.ts';
import { killPivotScript } from '../../../support/faults/held-virsh.ts';
import { strikeLibvirtd, type Moment } from '../../../support/faults/struck-libvirtd.ts';
import {
  expectAllMoved,
  expectInVaultTogether,
} from '../../../support/scenes/transfer/disks-proofs.ts';
import {
  startDisks,
  startDisksMove,
  type DisksScene,
} from '../../../support/scenes/transfer/disks-scene.ts';
import { startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { imagesOf, sourcesOf } from '../../../support/scenes/snapshot-scene.ts';
import { statusQuery } from '../../../../workflows/kinds.ts';
import { waitUntil } from '../../../support/wait-until.ts';
import { useHeldSystem } from '../../../support/scenes/use-held-system.ts';

const { system, held } = useHeldSystem((how) => startMoveSystem({ ...how, name: 'disks-windows' }));

let scene: DisksScene;
let count = 0;
beforeEach(async () => {
  scene = await startDisks(system, `pair${++count}`);
});

const uuidOf = async () => (await system.host.virsh('domuuid', scene.guest.name)).trim();

/** Starts it; returns when the script stands before this command of its suspension. */
async function standBefore(command: string, sources: 'delete' | 'keep' = 'delete') {
  held.holdBefore(command);
  const move = await startDisksMove(scene, { sources });
  await held.untilHeld();
  expect(await system.host.virsh('domstate', scene.guest.name)).toContain('paused');
  return move;
}
const SECOND = 'vdb --pivot';

describe('Between the pivots of two disks', () => {
  it.each(['vda', 'vdb'])('a cancel of the move of %s is too late', async (disk) => {
    const move = await standBefore(SECOND);
    const one = system.client.workflow.getHandle(`${scene.guest.name}/${disk}`);
    await one.cancel();
    // The first one may have seen its own switch before.
    await waitUntil('the cancel to be heard, or refused', async () => {
      const { phase, cancel } = await one.query(statusQuery);
      return phase === 'cancelling' || !cancel.possible;
    });
    held.release();
    await expectAllMoved(scene, move);
    expect(await one.result()).toMatchObject({ outcome: 'moved' });
    expect((await one.query(statusQuery)).cancel.possible).toBe(false);
  });

  it('an agent that dies changes nothing: its script goes on', async () => {
    const move = await standBefore(SECOND);
    const { moved, disks } = scene;
    expect(await sourcesOf(system, scene.guest.name)).toEqual({ ...disks, vda: moved['vda'] });
    await system.killRole('host');
    held.release();
    await system.startRole('host');
    await expectAllMoved(scene, move);
  });

  it('an agent that dies with its script leaves a guest that the next one resumes', async () => {
    const move = await standBefore(SECOND);
    await system.killRole('host');
    await killPivotScript(await uuidOf());
    held.release();
    await system.startRole('host');
    await expectAllMoved(scene, move);
    const took = (await system.effects()).filter((line) => line.includes(`${scene.guest.name}/`));
    expect(took.filter((line) => line.startsWith('libvirt.resume-guest'))).toHaveLength(1);
  });

  it('a libvirtd that dies is waited for, and the second disk switches', async () => {
    const move = await standBefore(SECOND);
    await system.host.killLibvirtd();
    held.release();
    await system.host.startLibvirtd();
    await expectAllMoved(scene, move);
  });

  it('a QEMU that dies loses no write, and the next request moves the rest', async () => {
    const move = await standBefore(SECOND);
    await system.host.killQemu(scene.guest.name);
    held.release();
    await move.result().catch(() => undefined);
    const rest = await startDisksMove(scene);
    await rest.result();
    await expectInVaultTogether(scene);
  });
});

describe('A libvirtd that dies inside the pivot', () => {
  const first = 'vda --pivot';
  const windows = {
    'of the first disk, before it noted that its job ended': [first, 'status'],
    'of the first disk, before it wrote the record': [first, 'record'],
    'of the second disk, before it noted that its job ended': [SECOND, 'status'],
    'of the second disk, before it wrote the record': [SECOND, 'record'],
  } satisfies Record<string, [string, Moment['file']]>;

  it.each(Object.entries(windows))('%s, costs time only', async (_, [command, file]) => {
    const move = await standBefore(command);
    const struck = await strikeLibvirtd(system.host, scene.guest.name, { file, time: 1 });
    held.release();
    await struck();
    await system.host.startLibvirtd();
    await expectAllMoved(scene, move);
  });
});

describe('Between the ends of two mirrors that are copied', () => {
  it.each([
    ['the agent dies', false, false],
    ['the agent and its script die', true, false],
    ['libvirtd dies', false, true],
    ['libvirtd, the agent and its script die', true, true],
  ])('%s: the copies are of one moment', async (_, isScript, isLibvirtd) => {
    const { guest, disks, moved } = scene;
    const copy = await standBefore('vdb --abort', 'keep');
    const uuid = await uuidOf();
    if (isLibvirtd) await system.host.killLibvirtd();
    await system.killRole('host');
    if (isScript) await killPivotScript(uuid);
    held.release();
    if (isLibvirtd) await system.host.startLibvirtd();
    await system.startRole('host');
    expect(await copy.result()).toMatchObject({
      outcome: 'copied',
      chainAfter: Object.values(moved),
    });
    expect(await sourcesOf(system, guest.name)).toEqual(disks);
    await guest.waitForAcks(5);
    await guest.kill();
    await expectOneCut(guest, ...imagesOf(moved));
    await expectGuestData(guest, ...imagesOf(disks));
  });
});
