/** Snapshots inside of the images of a VM: taken, listed, and deleted by a handle. */
import { expect } from '@jest/globals';
import { liveMergeInput } from '../../../workflows/merge/request.ts';
import { createSnapshotInput } from '../../../workflows/snapshot/create/request.ts';
import { deleteSnapshotInput } from '../../../workflows/snapshot/delete/request.ts';
import { failureOf } from '../scenes/failure-of.ts';
import type { Case, Hypervisor } from './hypervisor.ts';

const codeOf = async (asked: Promise<unknown>) => (await failureOf(asked)).code ?? 'none';

const planned = ({ ask, ref: { vm, host } }: Hypervisor) => {
  const request = createSnapshotInput.parse({ vm, host, name: 'i1', internal: true });
  return ask('observeInsidePlan', { request, since: null });
};

const deletion = ({ ask, ref: { vm, host } }: Hypervisor) =>
  ask('observeSnapshotDeletion', deleteSnapshotInput.parse({ vm, host, name: 'i1' }));

/** One that is taken and listed, of a VM that is down. */
async function taken(h: Hypervisor) {
  await h.shutDown();
  const plan = await planned(h);
  for (let times = 0; times < 2; times++) {
    expect(await h.ask('ensureInsideTaken', plan)).toEqual({ outcome: 'taken', ids: { vda: '1' } });
  }
  await h.ask('ensureInsideListed', plan);
  const images = plan.disks.map(({ image }) => image);
  const { vm, vmUuid } = plan;
  expect(await h.ask('ensureLeaksRepaired', { vm, vmUuid, images })).toEqual([]);
  const { snapshots } = await deletion(h);
  const parts = snapshots[0]?.inside?.parts ?? [];
  const [part] = parts;
  if (!part) throw new Error('no image has it');
  return { vm, vmUuid, part, parts };
}

export const inside: readonly Case[] = [
  {
    title: 'a snapshot inside of an image is planned only while the VM is down',
    async check(h) {
      expect(await codeOf(planned(h))).toBe('vm-running');
      await h.shutDown();
      expect(await planned(h)).toMatchObject({ snapshot: 'i1', disks: [{ disk: 'vda' }] });
    },
  },
  {
    title: 'a snapshot inside of an image has a handle, which a deletion finds and a merge keeps',
    async check(h) {
      const { part, parts, ...vm } = await taken(h);
      const name = { ...vm, name: 'i1' };
      expect(part).toMatchObject({ disk: 'vda', handle: { format: 'qcow2', id: '1', name: 'i1' } });
      expect(await deletion(h)).toMatchObject({
        snapshots: [{ name: 'i1', disks: [], inside: { gone: [], record: 'goes' } }],
      });
      expect(await codeOf(planned(h))).toBe('snapshot-exists');
      const merge = h.ask('observeMergePlan', liveMergeInput.parse(h.ref));
      expect(await codeOf(merge)).toBe('internal-snapshots');
      expect(await codeOf(h.ask('ensureSnapshotForgotten', name))).toBe('unproven');
      for (let times = 0; times < 2; times++) {
        await h.ask('ensureInnerSnapshotAbsent', { ...vm, part, parts });
      }
      await h.ask('ensureSnapshotForgotten', name);
      expect(await codeOf(deletion(h))).toBe('unknown-snapshot');
      await h.verify();
    },
  },
  {
    title: 'an agent that dies when it has taken a snapshot inside has taken it once',
    async check(h) {
      await h.shutDown();
      const plan = await planned(h);
      await h.askInterrupted('image.take-snapshots', 'ensureInsideTaken', plan);
      expect(await h.ask('ensureInsideTaken', plan)).toEqual({
        outcome: 'taken',
        ids: { vda: '1' },
      });
      expect(await deletion(h)).toMatchObject({ snapshots: [{ inside: { record: 'none' } }] });
      await h.verify();
    },
  },
  {
    title: 'a snapshot that was planned inside of an image is not taken of a VM that runs',
    async check(h) {
      await h.shutDown();
      const plan = await planned(h);
      await h.startVm();
      expect(await h.ask('ensureInsideTaken', plan)).toMatchObject({ outcome: 'changed' });
      expect(await codeOf(deletion(h))).toBe('unknown-snapshot');
    },
  },
  {
    title: 'while the VM runs, libvirt deletes it from the image and from its list',
    async check(h) {
      const going = await taken(h);
      await h.startVm();
      await h.write();
      await h.ask('ensureInnerSnapshotAbsent', going);
      expect(await codeOf(deletion(h))).toBe('unknown-snapshot');
      await h.killQemu();
      await h.verify();
    },
  },
];
