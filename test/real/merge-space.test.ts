/** A base on a small file system: the operation waits for space and goes on by itself. */
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { createGuestDisk } from '../support/guest-disk.ts';
import { defineGuest } from '../support/guest.ts';
import { expectMerged, heartbeatNote, untilPhase } from '../support/merge-proofs.ts';
import { asScene, POOL, startSharedSystem } from '../support/merge-scene.ts';
import type { Scene } from '../support/merge-scene.ts';
import { createOverlay, growOverlay } from '../support/snapshots.ts';
import type { System } from '../support/system.ts';
import { waitUntil } from '../support/wait-until.ts';

const MIB = 2 ** 20;
let small: string;
let system: System;
let scene: Scene;
let count = 0;

beforeAll(async () => {
  small = await mkdtemp(join(tmpdir(), 'blockflow-small-'));
  // Mounted before the host's namespace is made, so that both see it.
  await execa('mount', ['-t', 'tmpfs', '-o', 'size=32M', 'tmpfs', small]);
  system = await startSharedSystem();
  await system.host.definePool('small', small);
});
afterEach(async () => {
  await scene.close();
  await execa('sh', ['-c', 'rm -f -- "$0"/*', small]);
});
afterAll(async () => {
  await system.close();
  await execa('umount', [small]);
  await rm(small, { recursive: true });
});

const filler = () => join(small, 'filler');
const freeBytes = async () => {
  const { bavail, bsize } = await statfs(small);
  return bavail * bsize;
};
/** Leaves `bytes` free on the base's file system. */
const fillTo = async (bytes: number) =>
  execa('fallocate', ['--length', `${(await freeBytes()) - bytes}`, filler()]);
const makeRoom = () => rm(filler());

/** A guest whose base is on the small file system; its overlay holds 8 MiB that it lacks. */
async function sceneOnSmall(): Promise<void> {
  const name = `small${++count}`;
  const { host } = system;
  const base = await createGuestDisk(join(small, `${name}.qcow2`), {
    format: 'qcow2',
    virtualSizeBytes: 32 * MIB,
  });
  const overlay = await createOverlay(join(host.pools, POOL, `${name}-snap1.qcow2`), base);
  await growOverlay(overlay, { bytes: 8 * MIB });
  const guest = await defineGuest(host, { name, disk: overlay });
  scene = asScene(system, guest, [base.path, overlay.path]);
  await guest.start();
  await guest.waitForAcks(base.parameters.slots + 1, 60_000);
}

describe('Too little space for the base', () => {
  it('when it is planned: it says how much is missing, goes on when there is room', async () => {
    await sceneOnSmall();
    await fillTo(MIB);
    const merge = await system.merge({ vm: scene.guest.name, disk: 'vda' });
    const { note } = await untilPhase(merge, 'waiting for space');
    expect(note).toMatch(/^\d+\.\d MiB are missing on the file system of .*; the VM runs on/);
    await waitUntil('the missing bytes in the heartbeat', async () =>
      /^\d+ bytes are missing on the file system of /.test(await heartbeatNote(merge)),
    );
    await scene.guest.waitForAcks(50);
    await makeRoom();
    await expectMerged(scene, merge);
  });
});
