/** Snapshots of a whole VM on a hypervisor: taken, listed, deleted, and gone back to. */
import { expect } from '@jest/globals';
import { deleteSnapshotInput } from '../../../workflows/snapshot/delete/request.ts';
import { failureOf } from '../scenes/failure-of.ts';
import { begin, observe, untilReady, type Case, type Hypervisor } from './hypervisor.ts';
import {
  changeBack,
  goneBack,
  last,
  planned,
  planRevert,
  release,
  reserved,
  settled,
  take,
  taken,
  undone,
} from './snapshot-steps.ts';

/** Of the failure that it ends with. */
const codeOf = async (asked: Promise<unknown>) => (await failureOf(asked)).code ?? 'none';

const deletion = ({ ask, ref: { vm, host } }: Hypervisor) =>
  ask('observeSnapshotDeletion', deleteSnapshotInput.parse({ vm, host, name: 's1' }));

async function expectActive(hypervisor: Hypervisor, path: string): Promise<void> {
  const { views, disagreements, vm } = await observe(hypervisor);
  expect(disagreements).toEqual([]);
  expect(views.persistent?.at(-1)).toBe(path);
  if (vm.state !== 'off') expect(views.live?.at(-1)).toBe(path);
}

/** Those of the chain, and these. */
async function expectFiles(hypervisor: Hypervisor, ...more: unknown[]): Promise<void> {
  expect((await hypervisor.files()).sort()).toEqual([...hypervisor.chain, ...more].sort());
}

export const snapshotting: readonly Case[] = [
  {
    title: 'a plan of a snapshot names the overlay of each disk, and changes nothing',
    async check(h) {
      const plan = await planned(h);
      expect(plan).toMatchObject({ running: true, snapshot: 's1', left: [] });
      expect(plan.disks).toMatchObject([{ disk: 'vda', base: { path: last(h.chain) } }]);
      await expectFiles(h);
      await expectActive(h, last(h.chain));
    },
  },
  {
    title:
      'overlays that are reserved have their names, twice the same, and the VM does not write them',
    async check(h) {
      const taking = await reserved(h);
      const [overlay] = taking.overlays;
      expect((await reserved(h, taking)).overlays).toEqual(taking.overlays);
      await expectFiles(h, overlay?.volume.path);
      await expectActive(h, last(h.chain));
      expect(await settled(h, taking)).toMatchObject({ outcome: 'not-taken' });
    },
  },
  {
    title: 'from its snapshot on the guest writes to the overlay, and the base stays as it is',
    async check(h) {
      const { overlay, base } = await taken(h);
      await expectActive(h, overlay);
      const before = await h.newestIn(base);
      const generation = await h.write();
      expect(await h.newestIn(overlay)).toBeGreaterThanOrEqual(generation);
      expect(await h.newestIn(base)).toBe(before);
      await h.killQemu();
      await h.verify();
    },
  },
  {
    title: 'a snapshot of a VM that is down changes its record, and it starts on the overlay',
    async check(h) {
      await h.shutDown();
      const { overlay } = await taken(h);
      await expectActive(h, overlay);
      await h.startVm();
      await h.write();
      await expectActive(h, overlay);
      await h.shutDown();
      await h.verify();
    },
  },
  {
    title: 'an agent that dies when a snapshot is taken has taken it, and the guest runs on',
    async check(h) {
      const { plan, jobId, overlays } = await reserved(h);
      const taking = { plan, jobId, overlays };
      await h.askInterrupted('libvirt.take-snapshot', 'ensureSnapshotTaken', taking);
      for (const name of ['ensureSnapshotSettled', 'ensureSnapshotTaken'] as const) {
        expect(await h.ask(name, taking)).toMatchObject({ outcome: 'taken' });
      }
      await h.write();
      await expectActive(h, taking.overlays[0]?.volume.path ?? '');
    },
  },
  {
    title: 'a snapshot that was planned while the VM ran is not taken of one that is down',
    async check(h) {
      const taking = await reserved(h);
      await h.shutDown();
      expect(await take(h, taking)).toMatchObject({ outcome: 'changed' });
      await release(h, taking, 'delete');
      await expectFiles(h);
      await h.verify();
    },
  },
  {
    title: 'what an earlier run has reserved is found until its note is gone',
    async check(h) {
      const taking = await reserved(h);
      const found = await h.ask('observeSnapshotPlan', taking.request);
      expect(found).toMatchObject({
        kind: 'unfinished',
        earlier: { jobId: taking.jobId, overlays: taking.overlays },
      });
      await release(h, taking, 'delete');
      await planned(h);
    },
  },
  {
    title: 'a snapshot that is listed has its name, and a deletion finds its layer',
    async check(h) {
      const { request, overlay } = await taken(h);
      expect(await codeOf(h.ask('observeSnapshotPlan', request))).toBe('snapshot-exists');
      expect(await deletion(h)).toMatchObject({ snapshots: [{ name: 's1', disks: ['vda'] }] });
      const { vm, host } = h.ref;
      const { snapshots } = await h.ask('observeSnapshotTree', { vm, host });
      const [{ takenAt = null } = {}] = snapshots;
      expect(snapshots).toMatchObject([{ name: 's1', isCurrent: true, kind: 'external' }]);
      expect(Date.parse(takenAt ?? '')).toBeLessThanOrEqual(Date.now());
      const { vmUuid } = await deletion(h);
      const name = { vm: h.ref.vm, vmUuid, name: 's1' };
      expect(await codeOf(h.ask('ensureSnapshotForgotten', name))).toBe('unproven');
      const { plan } = await begin(h, { snapshot: 's1' });
      expect(plan).toMatchObject({
        top: { path: overlay },
        base: { path: last(h.chain) },
        snapshots: [{ name: 's1', action: 'delete' }],
      });
    },
  },
  {
    title: 'the record of a snapshot goes when its last disk is merged',
    async check(h) {
      const { base } = await taken(h);
      const begun = await begin(h, { snapshot: 's1' });
      await h.ask('ensureCommitStarted', begun.start);
      await untilReady(h, begun);
      await h.ask('ensurePivoted', begun.job);
      await h.ask('observeMergeProof', begun.job);
      await h.ask('ensureSnapshotRecords', { ...begun.job, changes: begun.plan.snapshots });
      await expectActive(h, base);
      expect(await codeOf(deletion(h))).toBe('unknown-snapshot');
    },
  },
  {
    title: 'a VM that runs does not go back to a snapshot',
    async check(h) {
      await taken(h);
      expect(await codeOf(planRevert(h))).toBe('vm-running');
    },
  },
  {
    title: 'a VM that goes back has what its snapshot had, and what it left comes back',
    async check(h) {
      const { overlay, base } = await taken(h);
      const before = await h.newestIn(base);
      await h.write();
      await h.shutDown();
      const back = await goneBack(h);
      await expectActive(h, back.now);
      expect(await h.newestIn(back.now)).toBe(before);
      // What it left is out of sight.
      await expectFiles(h, back.now);
      await undone(h, back);
      await expectActive(h, overlay);
      await expectFiles(h, overlay);
      await h.verify();
    },
  },
  {
    title: 'a revert that was not switched is found, and so is one that was',
    async check(h) {
      await taken(h);
      await h.shutDown();
      const prepared = await planRevert(h);
      expect(await h.ask('observeRevertPlan', prepared.request)).toMatchObject({
        kind: 'leftover',
        note: { jobId: prepared.jobId },
      });
      const switched = await h.ask('ensureDisksSwitched', prepared.change);
      expect(switched).toEqual({ outcome: 'switched' });
      expect(await h.ask('observeRevertPlan', prepared.request)).toMatchObject({
        kind: 'switched',
        isThis: true,
      });
    },
  },
  {
    title: 'nothing is switched when the VM was started since',
    async check(h) {
      const { overlay } = await taken(h);
      await h.shutDown();
      const prepared = await planRevert(h);
      await h.startVm();
      const outcome = await h.ask('ensureDisksSwitched', prepared.change);
      expect(outcome).toMatchObject({ outcome: 'changed' });
      await expectActive(h, overlay);
    },
  },
  {
    title: 'an undo is refused when a layer below was changed',
    async check(h) {
      await taken(h);
      await h.shutDown();
      const back = await goneBack(h);
      await h.startVm();
      await h.write();
      const begun = await begin(h);
      await h.ask('ensureCommitStarted', begun.start);
      await untilReady(h, begun);
      await h.ask('ensureCommitAborted', begun.job);
      await h.ask('ensureJobForgotten', begun.job);
      await h.shutDown();
      expect(await codeOf(changeBack(h, back))).toBe('base-changed');
    },
  },
  {
    title: 'what an undo leaves is not deleted before the undo is complete',
    async check(h) {
      await taken(h);
      await h.shutDown();
      const back = await goneBack(h);
      const { change, owner } = await changeBack(h, back);
      const volumes = change.disks.map(({ from }) => from.volume);
      const deletion = { jobId: back.jobId, owner, to: back.to, volumes };
      expect(await h.ask('ensureRetiredAbsent', deletion)).toMatchObject({ outcome: 'unsettled' });
      const other = { ...deletion, owner: back.jobId };
      expect(await h.ask('ensureRetiredAbsent', other)).toMatchObject({ outcome: 'kept' });
      expect(await h.files()).toContain(back.now);
    },
  },
  {
    title: 'what a revert left is deleted by the run that has its note, and by no other one',
    async check(h) {
      const { overlay } = await taken(h);
      await h.shutDown();
      const back = await goneBack(h);
      const { pool } = back.plan.disks[0]?.retired.volume ?? { pool: '' };
      const to = back.plan.disks[0]?.to;
      if (!to) throw new Error('the plan has no disk');
      const left = back.plan.disks.map(({ retired: { volume } }) => volume);
      const expire = (owner: string) =>
        h.ask('ensureRetiredAbsent', { jobId: back.jobId, owner, to, volumes: left });
      expect(pool).toBe(to.pool);
      const other = '11111111-2222-4333-8444-555555555555';
      expect(await expire(other)).toMatchObject({ outcome: 'kept', deleted: [] });
      expect(await expire(back.jobId)).toMatchObject({ outcome: 'removed' });
      expect(await codeOf(changeBack(h, back))).toBe('nothing-to-undo');
      expect(await h.files()).not.toContain(overlay);
    },
  },
];
