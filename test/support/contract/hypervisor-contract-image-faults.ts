/** The contract of moved images, when another user gets in between. */
import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import { begin, type Case } from './hypervisor.ts';
import {
  ask,
  ending,
  expectOnSource,
  once,
  planCopyOfBase,
  planMove,
  release,
  removal,
  removalOfCopies,
  reserve,
  switchTo,
  untilNamed,
  untilVerified,
} from './image-steps.ts';
import { named } from '../../../workflows/chain/other-hosts.ts';

export const movingFaults: readonly Case[] = [
  {
    title: 'a source that was written since its plan is not copied',
    async check(h) {
      await h.shutDown();
      const move = await planMove(h);
      await reserve(h, move);
      await h.startVm();
      await h.write();
      const whileUp = await h.ask('ensureImageHeld', move);
      expect(whileUp.outcome).toBe('in-use');
      await h.shutDown();
      expect(await h.ask('ensureImageHeld', move)).toMatchObject({ outcome: 'changed' });
      await release(h, move);
      await expectOnSource(h);
    },
  },
  {
    title: 'a source that was written since it was copied stays the truth',
    async check(h) {
      await h.shutDown();
      const move = await planMove(h);
      await untilNamed(h, move);
      await release(h, move);
      await h.startVm();
      await h.write();
      const whileUp = await h.ask('ensureRecordSwitched', move);
      expect(whileUp.outcome).toBe('not-switched');
      await h.shutDown();
      const afterwards = await h.ask('ensureRecordSwitched', move);
      expect(afterwards.outcome).toBe('not-switched');
      await release(h, move);
      await expectOnSource(h);
    },
  },
  {
    title: 'a name that is taken is not given to a copy, and is not planned',
    async check(h) {
      await h.shutDown();
      const move = await planMove(h);
      await untilVerified(h, move);
      const path = h.copyOf(h.chain.at(-1) ?? '');
      await h.make(path);
      const named = await h.ask('ensureImageNamed', move);
      expect(named).toEqual({ outcome: 'taken', path });
      await release(h, move);
      await expect(ask(h)).rejects.toThrow(/exists/);
      await h.remove(path);
    },
  },
  {
    title: 'what a record names, or a hold keeps open, is not planned for removal',
    async check(h) {
      await h.shutDown();
      const top = h.chain.at(-1) ?? '';
      await expect(removal(h, top)).rejects.toThrow(/is used by/);
      const move = await planMove(h);
      await untilNamed(h, move);
      await switchTo(h, move);
      await expect(removal(h, top)).rejects.toThrow(/open/);
      await release(h, move);
      expect((await removal(h, top)).volumes).toHaveLength(h.chain.length);
    },
  },
  {
    title: 'no volume of an image is deleted while one of them is open',
    async check(h) {
      await h.shutDown();
      const { plan, jobId } = await planMove(h);
      const copy = await planCopyOfBase(h);
      await reserve(h, copy);
      expect(await h.ask('ensureImageHeld', copy)).toEqual({ outcome: 'held' });
      const deletion = { jobId, volumes: plan.volumes.map(named) };
      await expect(h.ask('ensureVolumesAbsent', deletion)).rejects.toThrow(/is kept/);
      expect(await h.files()).toEqual(h.chain);
      await release(h, copy);
      await expectOnSource(h);
    },
  },
  {
    title: 'a base is held under a running VM, and no commit goes into it meanwhile',
    async check(h) {
      const copy = await planCopyOfBase(h);
      await reserve(h, copy);
      expect(await h.ask('ensureImageHeld', copy)).toEqual({ outcome: 'held' });
      await h.write();
      const merge = await begin(h);
      await expect(h.ask('ensureCommitStarted', merge.start)).rejects.toThrow(/write" lock/);
      await release(h, copy);
      const started = await h.ask('ensureCommitStarted', merge.start);
      expect(started.outcome).toBe('started');
    },
  },
  {
    title: 'a cold commit does not go into a base that is held',
    async check(h) {
      await h.shutDown();
      const copy = await planCopyOfBase(h);
      await reserve(h, copy);
      await h.ask('ensureImageHeld', copy);
      const { job } = await begin(h);
      const input = { ...job, bandwidthBytesPerSecond: 0 };
      expect(await h.ask('ensureColdCommitted', input)).toMatchObject({ outcome: 'failed' });
      await release(h, copy);
      await expectOnSource(h);
    },
  },
  {
    title: 'a copy that has its name and no record yet is not removed by hand',
    async check(h) {
      await h.shutDown();
      const move = await planMove(h);
      await untilNamed(h, move);
      const copy = h.copyOf(h.chain.at(-1) ?? '');
      await expect(removal(h, copy, 'vault')).rejects.toThrow(/is a copy that is being made/);
      await h.remove(copy);
      const switched = await h.ask('ensureRecordSwitched', move);
      expect(switched.outcome).toBe('not-switched');
      await release(h, move);
      await expectOnSource(h);
    },
  },
  {
    title: 'of an undo and a repeated request, the first has the copies',
    async check(h) {
      await h.shutDown();
      const move = await planMove(h);
      await untilNamed(h, move);
      await release(h, move);
      const [later, last] = [randomUUID(), randomUUID()];
      const again = { ...move, plan: (await planMove(h)).plan };
      expect(await reserve(h, again, once, later)).toEqual({ outcome: 'reserved' });
      const late = ending(move, 'delete', [move.jobId]);
      expect((await removalOfCopies(h, move)).volumes).toEqual([]);
      const kept = await h.ask('ensureReservationAbsent', late);
      expect(kept).toEqual({ outcome: 'kept', deleted: [], regainedBytes: 0 });
      expect(await h.copies()).toHaveLength(h.chain.length);
      const { plan } = await planMove(h);
      expect(plan.adopted).toEqual({ jobId: move.jobId, owner: later });
      const undo = ending(move, 'delete', [later, move.jobId]);
      await h.askInterrupted('storage.abandon-reservation', 'ensureReservationAbsent', undo);
      const tooLate = await reserve(h, { ...move, plan }, once, last);
      expect(tooLate).toEqual({ outcome: 'gone' });
      const { adopted, leftovers } = (await planMove(h)).plan;
      expect({ adopted, leftovers }).toEqual({ adopted: null, leftovers: [move.jobId] });
      await h.ask('ensureReservationAbsent', undo);
      expect([await h.copies(), await h.reserved(move.jobId)]).toEqual([[], []]);
      await expectOnSource(h);
    },
  },
];
