/** The contract's other half: what is true when a VM, a job or another user gets in between. */
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

/** A merge whose copy takes long. */
async function copying(h: Hypervisor): Promise<Begun> {
  const begun = await begin(h, { limit: SLOW });
  const started = await h.ask('ensureCommitStarted', begun.start);
  expect(started.outcome).toBe('started');
  return begun;
}

/** A plan of the merge while the VM is down. */
async function coldCommit(h: Hypervisor) {
  await h.shutDown();
  const begun = await begin(h);
  expect(begun.plan.mode).toBe('cold');
  const limit = { bandwidthBytesPerSecond: 0 };
  const committed = await h.ask('ensureColdCommitted', { ...begun.job, ...limit });
  if (committed.outcome !== 'committed') throw new Error(`not committed: ${committed.reason}`);
  const { topModifiedNs } = committed;
  return { ...begun, switching: { ...begun.job, topModifiedNs, keepRelative: false } };
}

/** The VM is down, and its chain what it was. */
async function expectDownAndWhole(h: Hypervisor): Promise<void> {
  expect((await observe(h)).vm.state).toBe('off');
  await expectUnchanged(h);
  await h.verify();
  await h.startVm();
  expect((await observe(h)).job).toBeNull();
}

export const faults: readonly Case[] = [
  {
    title: 'QEMU killed while it copies: no job, the chain is what it was, no flushed write lost',
    async check(h) {
      const begun = await copying(h);
      await h.write();
      await h.killQemu();
      expect(await untilReady(h, begun)).toMatchObject({ outcome: 'vm-stopped' });
      const again = await h.ask('ensureCommitStarted', begun.start);
      expect(again.outcome).toBe('vm-stopped');
      const limit = { ...h.ref, bandwidthBytesPerSecond: SLOW };
      expect(await h.ask('ensureBandwidth', limit)).toBeNull();
      await expectDownAndWhole(h);
    },
  },
  {
    title: 'QEMU killed at READY: not pivoted, and no flushed write lost',
    async check(h) {
      const { job } = await ready(h);
      await h.write();
      await h.killQemu();
      expect(await h.ask('ensurePivoted', job)).toMatchObject({ outcome: 'vm-stopped' });
      expect(await h.ask('ensureCommitAborted', job)).toEqual({ outcome: 'unchanged' });
      await expectDownAndWhole(h);
    },
  },
  {
    title: 'a job that a user ends is gone, which is no success',
    async check(h) {
      const begun = await copying(h);
      await h.endJob();
      expect(await untilReady(h, begun)).toMatchObject({ outcome: 'gone' });
      await expectUnchanged(h);
    },
  },
  {
    title: 'a READY job that a user ends is not pivoted',
    async check(h) {
      const { job } = await ready(h);
      await h.endJob();
      expect(await h.ask('ensurePivoted', job)).toMatchObject({ outcome: 'not-pivoted' });
      await expectUnchanged(h);
      expect((await observe(h)).vm.state).toBe('running');
    },
  },
  {
    title: 'a foreign job is told as busy, and the disk is idle when it has ended',
    async check(h) {
      await h.startForeignJob();
      const plan = () => h.ask('observeMergePlan', liveMergeInput.parse(h.ref));
      expect(await plan()).toMatchObject({ kind: 'busy' });
      await h.endJob();
      await h.ask('awaitDiskIdle', h.ref);
      expect(await plan()).toMatchObject({ kind: 'plan' });
    },
  },
  {
    title: 'a foreign job that began after the plan is not taken for ours, by any step',
    async check(h) {
      const begun = await begin(h);
      await h.startForeignJob();
      const untouched = { type: 'Block Copy', bandwidthBytesPerSecond: 0 };
      expect((await observe(h)).job).toMatchObject(untouched);
      const { outcome } = await h.ask('ensureCommitStarted', begun.start);
      expect(outcome).toBe('busy');
      expect(await untilReady(h, begun)).toMatchObject({ outcome: 'gone' });
      expect(await h.ask('ensurePivoted', begun.job)).toMatchObject({ outcome: 'not-pivoted' });
      const limit = { ...h.ref, bandwidthBytesPerSecond: SLOW };
      expect(await h.ask('ensureBandwidth', limit)).toBeNull();
      expect(await h.ask('ensureCommitAborted', begun.job)).toEqual({ outcome: 'unchanged' });
      expect((await observe(h)).job).toMatchObject(untouched);
      await expectUnchanged(h);
      const planned = await h.ask('observeMergePlan', liveMergeInput.parse(h.ref));
      expect(planned.kind).toBe('busy');
    },
  },
  {
    title: 'a cold commit leaves top as it was; the switch makes the VM start on base',
    async check(h) {
      const { switching, job } = await coldCommit(h);
      await expectUnchanged(h);
      for (let times = 0; times < 2; times++) {
        const switched = await h.ask('ensureColdSwitched', switching);
        expect(switched.outcome).toBe('committed');
      }
      const { views, disagreements } = await observe(h);
      expect({ headers: views.headers, disagreements }).toEqual({
        headers: [h.chain[0]],
        disagreements: [],
      });
      expect(await h.ask('observeMergeProof', job)).toMatchObject({ guest: 'off' });
      await h.verify();
      await h.startVm();
      await h.write();
    },
  },
  {
    title: 'a VM that ran between cold commit and switch keeps its chain',
    async check(h) {
      const { switching } = await coldCommit(h);
      await h.startVm();
      await h.write();
      const whileUp = await h.ask('ensureColdSwitched', switching);
      expect(whileUp.outcome).toBe('vm-started');
      await h.shutDown();
      const afterwards = await h.ask('ensureColdSwitched', switching);
      expect(afterwards.outcome).toBe('vm-started');
      await expectUnchanged(h);
      await h.verify();
    },
  },
  {
    title: 'a running VM is not committed cold',
    async check(h) {
      const { job } = await coldCommit(h);
      await h.startVm();
      const input = { ...job, bandwidthBytesPerSecond: 0 };
      expect(await h.ask('ensureColdCommitted', input)).toMatchObject({ outcome: 'vm-started' });
      await expectUnchanged(h);
    },
  },
];
