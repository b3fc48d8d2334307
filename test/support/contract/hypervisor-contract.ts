/**
 * What the agents' activities mean on a hypervisor, as cases that both the simulator and real
 * libvirt with QEMU pass: what one of them does not do, no test of workflows may rest on.
 */
import { expect } from '@jest/globals';
import { liveMergeInput } from '../../../workflows/merge/request.ts';
import {
  begin,
  expectUnchanged,
  observe,
  ready,
  SLOW,
  untilReady,
  type Begun,
  type Case,
  type Hypervisor,
} from './hypervisor.ts';

/** A merge up to its switch. */
async function pivoted(hypervisor: Hypervisor): Promise<Begun> {
  const begun = await ready(hypervisor);
  expect(await hypervisor.ask('ensurePivoted', begun.job)).toMatchObject({ outcome: 'pivoted' });
  return begun;
}

const deletion = ({ plan, job }: Begun) => ({ jobId: job.jobId, volumes: plan.deletes });

export const merging: readonly Case[] = [
  {
    title: 'a plan names top, base and mode, and changes nothing',
    async check(h) {
      const input = liveMergeInput.parse(h.ref);
      const planned = await h.ask('observeMergePlan', input);
      const plan = { mode: 'active', overlay: null, adopted: null, alreadyMerged: false };
      const ends = { base: { path: h.chain[0] }, top: { path: h.chain[1] } };
      expect(planned).toMatchObject({ kind: 'plan', plan: { ...plan, ...ends } });
      expect(await h.ask('observeMergePlan', input)).toMatchObject({ kind: 'plan', plan: ends });
      await expectUnchanged(h);
      expect(await observe(h)).toMatchObject({ job: null, record: null });
    },
  },
  {
    title: 'a record is there until it is forgotten, which may be asked for twice',
    async check(h) {
      const { job } = await ready(h);
      expect((await observe(h)).record).toMatchObject({ jobId: job.jobId, top: h.chain[1] });
      await h.ask('ensureJobForgotten', job);
      await h.ask('ensureJobForgotten', job);
      expect((await observe(h)).record).toBeNull();
    },
  },
  {
    title: 'a write during the copy is in top at once, and not yet in base',
    async check(h) {
      const begun = await begin(h, { limit: SLOW });
      await h.ask('ensureCommitStarted', begun.start);
      const generation = await h.write();
      expect(await h.newestIn(h.chain[1] as string)).toBeGreaterThanOrEqual(generation);
      expect(await h.newestIn(h.chain[0] as string)).toBeLessThan(generation);
      expect((await observe(h)).job).toMatchObject({ ready: false });
    },
  },
  {
    title: 'a start that is repeated attaches to the one job, which becomes READY',
    async check(h) {
      const begun = await begin(h);
      for (let times = 0; times < 2; times++) {
        const started = await h.ask('ensureCommitStarted', begun.start);
        expect(started.outcome).toBe('started');
      }
      expect(await untilReady(h, begun)).toMatchObject({ outcome: 'ready' });
      expect((await observe(h)).job).toMatchObject({ ready: true });
      await expectUnchanged(h);
    },
  },
  {
    title: 'a limit reaches the running job, and none reaches a disk without a job',
    async check(h) {
      const limit = { ...h.ref, bandwidthBytesPerSecond: 2 * SLOW };
      expect(await h.ask('ensureBandwidth', limit)).toBeNull();
      const begun = await begin(h, { limit: SLOW });
      await h.ask('ensureCommitStarted', begun.start);
      const job = { bandwidthBytesPerSecond: 2 * SLOW };
      expect(await h.ask('ensureBandwidth', limit)).toMatchObject(job);
      expect((await observe(h)).job).toMatchObject(job);
    },
  },
  {
    title: 'an aborted job leaves the chain, and the guest writes on',
    async check(h) {
      const { job } = await ready(h);
      for (let times = 0; times < 2; times++) {
        expect(await h.ask('ensureCommitAborted', job)).toEqual({ outcome: 'unchanged' });
      }
      expect((await observe(h)).job).toBeNull();
      await expectUnchanged(h);
      const generation = await h.write();
      expect(await h.newestIn(h.chain[0] as string)).toBeLessThan(generation);
    },
  },
  {
    title: 'a job that is not READY is not pivoted, and goes on',
    async check(h) {
      const begun = await begin(h, { limit: SLOW });
      await h.ask('ensureCommitStarted', begun.start);
      expect(await h.ask('ensurePivoted', begun.job)).toMatchObject({ outcome: 'not-pivoted' });
      expect(await observe(h)).toMatchObject({ job: { ready: false }, vm: { state: 'running' } });
      await expectUnchanged(h);
    },
  },
  {
    title: 'a pivot switches the running and the persistent chain; a second one finds it done',
    async check(h) {
      const { job } = await pivoted(h);
      const [base] = h.chain;
      const { views, vm, disagreements } = await observe(h);
      expect(views).toMatchObject({ live: [base], headers: [base] });
      expect(views.persistent?.at(-1)).toBe(base);
      expect({ vm, disagreements }).toMatchObject({ vm: { state: 'running' }, disagreements: [] });
      expect(await h.ask('ensurePivoted', job)).toMatchObject({ outcome: 'pivoted' });
    },
  },
  {
    title: 'after a pivot writes go to base, and top keeps what it had',
    async check(h) {
      await pivoted(h);
      const generation = await h.write();
      expect(await h.newestIn(h.chain[0] as string)).toBeGreaterThanOrEqual(generation);
      expect(await h.newestIn(h.chain[1] as string)).toBeLessThan(generation);
      await h.killQemu();
      await h.verify();
    },
  },
  {
    title: 'a plan after the pivot tells the leftover of the run before',
    async check(h) {
      const { plan, job } = await pivoted(h);
      const again = await h.ask('observeMergePlan', liveMergeInput.parse(h.ref));
      const { deletes } = plan;
      const left = { alreadyMerged: true, deletes, adopted: { jobId: job.jobId } };
      expect(again).toMatchObject({ kind: 'plan', plan: left });
    },
  },
  {
    title: 'a proven volume is deleted once, however often it is asked for',
    async check(h) {
      const begun = await pivoted(h);
      const proof = await h.ask('observeMergeProof', begun.job);
      expect(proof).toEqual({ chainAfter: [h.chain[0]], guest: 'running' });
      const once = await h.ask('ensureVolumesAbsent', deletion(begun));
      expect(once.deleted).toEqual([h.chain[1]]);
      expect(await h.files()).toEqual([h.chain[0]]);
      const twice = await h.ask('ensureVolumesAbsent', deletion(begun));
      expect(twice).toEqual({ deleted: [h.chain[1]], regainedBytes: 0 });
    },
  },
  {
    title: 'a volume of the running chain is not deleted',
    async check(h) {
      const begun = await begin(h);
      await expect(h.ask('ensureVolumesAbsent', deletion(begun))).rejects.toThrow(/is kept/);
      expect(await h.files()).toEqual(h.chain);
    },
  },
  {
    title: 'an inner job ends by itself, and takes its volumes out of the chain',
    layers: 2,
    async check(h) {
      const [base, top, active] = h.chain as [string, string, string];
      const begun = await begin(h, { top });
      expect(begun.plan).toMatchObject({ mode: 'inner', overlay: { path: active } });
      await h.ask('ensureCommitStarted', begun.start);
      expect(await untilReady(h, begun)).toEqual({ outcome: 'finished' });
      expect(await observe(h)).toMatchObject({ job: null, views: { live: [base, active] } });
      await h.killQemu();
      await h.verify();
    },
  },
];
