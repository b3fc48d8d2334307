/** What the agents' activities mean for an image that is moved while its VM runs. */
import { expect } from '@jest/globals';
import { observe, type Case, type Hypervisor } from './hypervisor.ts';
import {
  ending,
  expectOnSource,
  interrupted,
  once,
  planMove,
  release,
  removalAfter,
  reserve,
  switchTo,
  twice,
  type Move,
  type Way,
} from './image-steps.ts';

/** Up to the names of the copies; that of the active layer is empty. */
async function untilNamed(h: Hypervisor, move: Move, way = once): Promise<void> {
  await reserve(h, move, way);
  expect(await way(h, 'image.hold', 'ensureImageHeld', move)).toEqual({ outcome: 'held' });
  for (const at of move.plan.volumes.slice(0, -1).keys()) {
    const copy = { ...move, at, bandwidthBytesPerSecond: 0, verify: 'none' } as const;
    expect(await h.ask('ensureVolumeCopied', copy)).toMatchObject({ outcome: 'copied' });
  }
  await way(h, 'image.create-top', 'ensureTopCreated', move);
  await h.ask('ensureBackingNames', move);
  expect(await h.ask('ensureImageNamed', move)).toEqual({ outcome: 'named' });
}

const start = (h: Hypervisor, move: Move, isNewTop = true) =>
  h.ask('ensureMirrorStarted', { ...move, isNewTop, bandwidthBytesPerSecond: 0 });
const awaitReady = (h: Hypervisor, move: Move) =>
  h.ask('awaitMirrorReady', { ...move, until: 'ready', tellConvergence: false });

/** A move whose mirror is READY. */
async function ready(h: Hypervisor): Promise<Move> {
  const move = await planMove(h);
  await untilNamed(h, move);
  expect(await start(h, move)).toEqual({ outcome: 'started' });
  expect(await awaitReady(h, move)).toEqual({ outcome: 'ready' });
  return move;
}

/** From the plan to the end of the source; the guest writes all the time. */
async function moveWholly(h: Hypervisor, way: Way): Promise<void> {
  const targets = h.chain.map((path) => h.copyOf(path));
  const move = await planMove(h);
  expect(move.plan.live).toMatchObject({ isMirrored: false });
  await untilNamed(h, move, way);
  await h.write();
  const begin = { ...move, isNewTop: true, bandwidthBytesPerSecond: 0 };
  const begun = await way(h, 'libvirt.start-mirror', 'ensureMirrorStarted', begin);
  expect(begun).toEqual({ outcome: 'started' });
  await h.write();
  expect(await awaitReady(h, move)).toEqual({ outcome: 'ready' });
  await h.write();
  const done = await way(h, 'libvirt.pivot', 'ensureMirrorPivoted', move);
  expect(done).toMatchObject({ outcome: 'pivoted' });
  expect(await awaitReady(h, move)).toEqual({ outcome: 'finished' });
  expect(await h.ask('observeMoveProof', move)).toEqual({ guest: 'running' });
  await switchTo(h, move);
  const { views, disagreements, vm } = await observe(h);
  const seen = { live: views.live, headers: views.headers, disagreements, state: vm.state };
  const wanted = { live: targets, headers: targets, disagreements: [], state: 'running' };
  expect(seen).toEqual(wanted);
  await release(h, move);
  const { volumes } = await removalAfter(h, move);
  await h.ask('ensureVolumesAbsent', { jobId: move.jobId, volumes });
  await h.ask('ensureReservationAbsent', ending(move, 'keep'));
  expect(await h.files()).toEqual([]);
  await h.write();
  await h.killQemu();
  await h.verify();
}

/** The source is what the VM has, and its copies go. */
async function expectUndone(h: Hypervisor, move: Move): Promise<void> {
  await release(h, move);
  await h.ask('ensureReservationAbsent', ending(move, 'delete', [move.jobId]));
  expect([await h.copies(), await h.reserved(move.jobId)]).toEqual([[], []]);
  await h.shutDown();
  await expectOnSource(h);
}

export const mirroring: readonly Case[] = [
  {
    title: 'a live move whose every step is asked for twice ends on the copies',
    check: (h) => moveWholly(h, twice),
  },
  {
    title: 'a live move whose every step loses its agent ends on the copies',
    check: (h) => moveWholly(h, interrupted),
  },
  {
    title: 'a mirror is ended once, and the VM goes on with its source',
    async check(h) {
      const move = await ready(h);
      for (let times = 0; times < 2; times++) {
        expect(await h.ask('ensureMirrorEnded', move)).toEqual({ outcome: 'ended' });
      }
      await h.write();
      await expectUndone(h, move);
    },
  },
  {
    title: 'a mirror that a user ends is lost, and another one needs another file',
    async check(h) {
      const move = await ready(h);
      await h.endJob();
      expect(await awaitReady(h, move)).toMatchObject({ outcome: 'lost', lack: null });
      const late = await h.ask('ensureMirrorPivoted', move);
      expect(late).toMatchObject({ outcome: 'not-ready' });
      expect(await start(h, move, false)).toMatchObject({ outcome: 'lost' });
      await h.ask('ensureTopAbsent', move);
      await h.ask('ensureTopCreated', move);
      expect(await h.ask('ensureImageNamed', move)).toEqual({ outcome: 'named' });
      expect(await start(h, move)).toEqual({ outcome: 'started' });
      expect(await awaitReady(h, move)).toEqual({ outcome: 'ready' });
      expect(await h.ask('ensureMirrorEnded', move)).toEqual({ outcome: 'ended' });
      await expectUndone(h, move);
    },
  },
  {
    title: 'a mirror ends with its QEMU, and the source has every write',
    async check(h) {
      const move = await ready(h);
      await h.write();
      await h.killQemu();
      const outcome = 'vm-stopped';
      expect(await awaitReady(h, move)).toMatchObject({ outcome });
      expect(await h.ask('ensureMirrorPivoted', move)).toMatchObject({ outcome });
      expect(await start(h, move)).toMatchObject({ outcome });
      await expectOnSource(h);
      const again = await planMove(h);
      const adopted = { jobId: move.jobId, owner: move.jobId, hasMirroredTop: true };
      expect(again.plan).toMatchObject({ live: null, adopted });
      await release(h, move);
    },
  },
  {
    title: 'a plan adopts the mirror of an earlier run, which it attaches to',
    async check(h) {
      const move = await ready(h);
      const again = await planMove(h);
      expect(again.plan).toMatchObject({
        adopted: { jobId: move.jobId },
        live: { isMirrored: true },
        leftovers: [],
      });
      const attached = { plan: again.plan, jobId: move.jobId };
      expect(await start(h, attached, false)).toEqual({ outcome: 'started' });
      const done = await h.ask('ensureMirrorPivoted', attached);
      expect(done).toMatchObject({ outcome: 'pivoted' });
      expect((await planMove(h)).plan).toMatchObject({ switched: true });
      await release(h, move);
    },
  },
  {
    title: "a user's copy of the disk refuses the plan, and goes on",
    async check(h) {
      await h.startForeignJob();
      await expect(planMove(h)).rejects.toThrow(/another job runs on the disk/);
      await h.endJob();
    },
  },
];
