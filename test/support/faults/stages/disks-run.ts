/** A move of several disks that is struck, and what must be true of it afterwards. */
import { rm } from 'node:fs/promises';
import { expect } from '@jest/globals';
import { expectOneCut } from '../../guest/guest-data.ts';
import { imagesOf, sourcesOf } from '../../scenes/snapshot-scene.ts';
import { expectInVaultTogether, takeAwayTogether } from '../../scenes/transfer/disks-proofs.ts';
import {
  startDisksMove,
  type DisksHandle,
  type DisksScene,
} from '../../scenes/transfer/disks-scene.ts';
import type { StruckRun } from './stage.ts';

interface Steered {
  /** Guest writes that surround the case. */
  writes: number;
  /** How many there were before it. */
  before: number;
  scene: DisksScene;
  move: DisksHandle;
  /** What a user does to it. */
  steered?: Promise<unknown>;
  end?: 'moved' | 'copied' | 'cancelled';
}

/** Waits for so many writes, of a guest that runs. */
export async function untilWrites({ system, guest }: DisksScene, writes: number): Promise<void> {
  const state = (await system.host.virsh('domstate', guest.name)).trim();
  if (state === 'running') await guest.waitForAcks(writes, 60_000);
}

/** As a user goes on: what a Hold says, then the request again, until all is in the vault. */
async function finish(scene: DisksScene): Promise<void> {
  const { system, guest, moved } = scene;
  const isThere = async () => {
    const now = await sourcesOf(system, guest.name, '--inactive');
    return Object.keys(moved).every((disk) => now[disk] === moved[disk]);
  };
  for (let i = 0; i < 3 && !(await isThere()); i++) {
    const state = (await system.host.virsh('domstate', guest.name)).trim();
    if (state === 'paused') await system.host.virsh('destroy', guest.name);
    if (state !== 'running') await guest.start(60_000);
    const rest = await startDisksMove(scene);
    await rest.result().catch((error: unknown) => i < 2 || Promise.reject(error as Error));
  }
}

/** The operation, with which those on its disks are ended, too. */
export function withParts({ system: { client }, guest, disks }: DisksScene, move: DisksHandle) {
  const parts = Object.keys(disks).map((disk) =>
    client.workflow.getHandle(`${guest.name}/${disk}`),
  );
  return Object.assign(Object.create(move) as DisksHandle, {
    async terminate() {
      const ended = await move.terminate();
      await Promise.all(parts.map((part) => part.terminate().catch(() => undefined)));
      return ended;
    },
  });
}

export function runOf(run: Steered): StruckRun {
  const { writes, before, scene, move, steered = Promise.resolve(), end = 'moved' } = run;
  const { guest, moved } = scene;
  // What is struck may be what the user talks to.
  steered.catch(() => undefined);
  return {
    operation: withParts(scene, move),
    vm: guest.name,
    async expectEnd() {
      await steered;
      if (end === 'cancelled') await expect(move.result()).rejects.toThrow();
      else expect(await move.result()).toMatchObject({ outcome: end, warnings: [] });
    },
    async expectRight() {
      await steered.catch(() => undefined);
      const ended = await move.result().catch(() => null);
      if (ended?.outcome === 'copied') {
        await expectOneCut(guest, ...imagesOf(moved));
        await Promise.all(ended.chainAfter.map((file) => rm(file)));
      }
      await untilWrites(scene, writes);
      await finish(scene);
      const guestWrites = guest.acknowledged() - before;
      expect(guestWrites).toBeGreaterThanOrEqual(writes);
      await expectInVaultTogether(scene);
      await takeAwayTogether(scene);
      return { guestWrites, stallMs: ended?.stallMs ?? null };
    },
  };
}
