/** What the agents' activities mean for an image that is moved: the contract, for the storage. */
import { expect } from '@jest/globals';
import { observe, type Case, type Hypervisor } from './hypervisor.ts';
import {
  copyAll,
  ending,
  expectOnSource,
  interrupted,
  planMove,
  release,
  removalAfter,
  removalOfCopies,
  reserve,
  switchTo,
  twice,
  untilNamed,
  type Move,
  type Way,
} from './image-steps.ts';

/** A move from the plan to the end of its source. */
async function moveWholly(h: Hypervisor, way: Way): Promise<void> {
  await h.shutDown();
  const targets = h.chain.map((path) => h.copyOf(path));
  const move = await planMove(h);
  await untilNamed(h, move, way);
  expect(await h.copies()).toEqual([...targets].sort());
  await expectOnSource(h);
  await switchTo(h, move, way);
  const { views, disagreements } = await observe(h);
  const seen = { headers: views.headers, disagreements };
  expect(seen).toEqual({ headers: targets, disagreements: [] });
  await release(h, move);
  await release(h, move);
  const { volumes } = await removalAfter(h, move);
  const deletion = { jobId: move.jobId, volumes };
  await way(h, 'storage.quarantine-volume', 'ensureVolumesAbsent', deletion);
  const tidy = ending(move, 'keep');
  for (let times = 0; times < 2; times++) await h.ask('ensureReservationAbsent', tidy);
  expect(await h.files()).toEqual([]);
  expect(await h.copies()).toEqual([...targets].sort());
  expect(await h.reserved(move.jobId)).toEqual([]);
  await h.verify();
  await h.startVm();
  await h.write();
}

const adopted = ({ jobId }: Move) => ({ adopted: { jobId, owner: jobId } });

export const moving: readonly Case[] = [
  {
    title: 'a move whose every step is asked for twice ends on the copies',
    check: (h) => moveWholly(h, twice),
  },
  {
    title: 'a move whose every step loses its agent ends on the copies',
    check: (h) => moveWholly(h, interrupted),
  },
  {
    title: 'a held image cannot be booted from, and can be when it is released',
    async check(h) {
      await h.shutDown();
      const move = await planMove(h);
      await reserve(h, move);
      expect(await h.ask('ensureImageHeld', move)).toEqual({ outcome: 'held' });
      await h.startVm().catch(() => undefined);
      expect((await observe(h)).vm.state).toBe('off');
      await release(h, move);
      await h.startVm();
      expect((await observe(h)).vm.state).toBe('running');
    },
  },
  {
    title: 'copies that are not wanted go under both names, also when the agent dies over it',
    async check(h) {
      await h.shutDown();
      const move = await planMove(h);
      await untilNamed(h, move);
      await release(h, move);
      expect((await removalOfCopies(h, move)).volumes).toHaveLength(h.chain.length);
      const undo = ending(move, 'delete', [move.jobId]);
      await h.askInterrupted('storage.unlink-copy', 'ensureReservationAbsent', undo);
      const done = await h.ask('ensureReservationAbsent', undo);
      expect(done.outcome).toBe('removed');
      expect([await h.copies(), await h.reserved(move.jobId)]).toEqual([[], []]);
      await expectOnSource(h);
    },
  },
  {
    title: 'a plan adopts what was reserved for the same source, and not for one written since',
    async check(h) {
      await h.shutDown();
      const move = await planMove(h);
      await untilNamed(h, move);
      const again = await planMove(h);
      expect(again.plan).toMatchObject({ ...adopted(move), leftovers: [], switched: false });
      await release(h, move);
      await h.startVm();
      await h.write();
      await h.shutDown();
      const later = await planMove(h);
      expect(later.plan).toMatchObject({ adopted: null, leftovers: [move.jobId] });
    },
  },
  {
    title: 'a plan to verify its copies adopts none that were not to be verified',
    async check(h) {
      await h.shutDown();
      const { jobId, plan } = await planMove(h);
      await reserve(h, { jobId, plan: { ...plan, verify: 'none' } });
      expect((await planMove(h)).plan).toMatchObject({ adopted: null, leftovers: [jobId] });
    },
  },
  {
    title: 'a plan after the switch goes on with it',
    async check(h) {
      await h.shutDown();
      const move = await planMove(h);
      await untilNamed(h, move);
      await switchTo(h, move);
      const again = await planMove(h);
      expect(again.plan).toMatchObject({ ...adopted(move), switched: true });
      await release(h, move);
    },
  },
  {
    title: 'a copy whose pool became unavailable waits, and is complete when it is back',
    async check(h) {
      await h.shutDown();
      const move = await planMove(h);
      await reserve(h, move);
      await h.ask('ensureImageHeld', move);
      await h.takeAway(true);
      await expect(copyAll(h, move)).rejects.toThrow(/does not hold what was reserved/);
      await h.takeAway(false);
      await h.ask('awaitPool', { to: move.plan.to, jobId: move.jobId, until: 'reserved' });
      await copyAll(h, move);
      const names = (await h.reserved(move.jobId)).filter((path) => path.endsWith('.copied'));
      expect(names).toHaveLength(h.chain.length);
      await release(h, move);
    },
  },
  {
    title: 'a record is not switched to copies whose pool became unavailable',
    async check(h) {
      await h.shutDown();
      const move = await planMove(h);
      await untilNamed(h, move);
      await h.takeAway(true);
      const away = await h.ask('ensureRecordSwitched', move);
      expect(away).toMatchObject({ outcome: 'pool-away' });
      await expectOnSource(h);
      await h.takeAway(false);
      await switchTo(h, move);
      await release(h, move);
    },
  },
];
