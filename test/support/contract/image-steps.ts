/** The steps of a move on a hypervisor, simulated or real, as its workflow takes them. */
import { randomUUID } from 'node:crypto';
import { basename } from 'node:path';
import { expect } from '@jest/globals';
import type { EffectName } from '../../../activities/door/effect.ts';
import { copyImageInput, moveImageInput } from '../../../workflows/transfer/request.ts';
import { removeImageInput } from '../../../workflows/removal/request.ts';
import type { ImagePlanOutcome } from '../../../workflows/transfer/plan.ts';
import { named } from '../../../workflows/chain/other-hosts.ts';
import { expectUnchanged, type Ask, type Hypervisor } from './hypervisor.ts';

/** How a step is asked for: once, twice, or by an agent that dies in it. */
export type Way = (
  h: Hypervisor,
  effect: EffectName,
  ...input: Parameters<Ask>
) => Promise<unknown>;

export const once: Way = (h, _, ...input) => h.ask(...input);
export const twice: Way = async (h, _, ...input) => {
  await h.ask(...input);
  return h.ask(...input);
};
export const interrupted: Way = async (h, effect, ...input) => {
  await h.askInterrupted(effect, ...input);
  return h.ask(...input);
};

const image = ({ ref: { vm, disk } }: Hypervisor) => ({ kind: 'disk', vm, disk }) as const;

export function ask(h: Hypervisor) {
  const input = moveImageInput.parse({ host: 'h1', image: image(h), to: 'vault' });
  return h.ask('observeImagePlan', { operation: 'MoveImage', ...input });
}

/** A plan to move the disk, whose VM is down. */
export async function planMove(h: Hypervisor) {
  return jobOf(await ask(h));
}
export type Move = Awaited<ReturnType<typeof planMove>>;

function jobOf(planned: ImagePlanOutcome) {
  if (planned.kind !== 'plan') throw new Error(`no plan, but ${planned.kind}`);
  return { plan: planned.plan, jobId: randomUUID() };
}

/** A plan to copy the base, as a standalone image. */
export async function planCopyOfBase(h: Hypervisor) {
  const volume = basename(h.chain[0] ?? '');
  const base = { kind: 'volume', pool: 'images', volume, format: 'qcow2' } as const;
  const input = copyImageInput.parse({ host: 'h1', image: base, to: 'vault' });
  return jobOf(await h.ask('observeImagePlan', { operation: 'CopyImage', ...input }));
}

/** As the run that has this job, or as a later one that goes on with it. */
export function reserve(h: Hypervisor, move: Move, way = once, owner: string = move.jobId) {
  const reservation = { ...move, owner, workflow: `${h.ref.vm}/${h.ref.disk}` };
  return way(h, 'storage.reserve-image', 'ensureImageReserved', reservation);
}

export const release = (h: Hypervisor, { jobId }: Move) => h.ask('ensureImageReleased', { jobId });

export async function copyAll(h: Hypervisor, move: Move, way = once): Promise<void> {
  for (const at of move.plan.volumes.keys()) {
    const copy = { ...move, at, bandwidthBytesPerSecond: 0, verify: 'full' } as const;
    const effect = at === 0 ? 'image.start-copy' : 'image.complete-copy';
    expect(await way(h, effect, 'ensureVolumeCopied', copy)).toMatchObject({ outcome: 'copied' });
  }
}

/** Up to copies that are verified. */
export async function untilVerified(h: Hypervisor, move: Move, way = once): Promise<void> {
  await reserve(h, move, way);
  const held = await way(h, 'image.hold', 'ensureImageHeld', move);
  expect(held).toEqual({ outcome: 'held' });
  await copyAll(h, move, way);
  for (const at of move.plan.volumes.keys()) {
    const verified = await way(h, 'image.pass-verification', 'ensureVolumeVerified', {
      ...move,
      at,
    });
    expect(verified).toMatchObject({ same: true });
  }
}

/** Up to the copies' final names. */
export async function untilNamed(h: Hypervisor, move: Move, way = once): Promise<void> {
  await untilVerified(h, move, way);
  await way(h, 'qemu-img.rebase', 'ensureBackingNames', move);
  const named = await way(h, 'storage.name-volume', 'ensureImageNamed', move);
  expect(named).toEqual({ outcome: 'named' });
}

export async function switchTo(h: Hypervisor, move: Move, way = once): Promise<void> {
  const switched = await way(h, 'libvirt.switch-disk-source', 'ensureRecordSwitched', move);
  expect(switched).toEqual({ outcome: 'switched' });
}

/** A plan to remove the image of this active layer. */
export function removal(h: Hypervisor, volume: string, pool = 'images') {
  const request = { host: 'h1', pool, volume: basename(volume), format: 'qcow2' };
  return h.ask('observeRemovalPlan', removeImageInput.parse(request));
}

/** As a move asks for it, of what it has left. */
export function removalAfter(h: Hypervisor, { plan, jobId }: Move) {
  const volumes = plan.volumes.map(named);
  const volume = basename(volumes.at(-1)?.path ?? '');
  const request = { host: 'h1', pool: 'images', volume, format: 'qcow2', left: { jobId, volumes } };
  return h.ask('observeRemovalPlan', removeImageInput.parse(request));
}

type Owners = [string, ...string[]];

/** The end of a reservation, as of these owners, or of any owner. */
export const ending = (
  { plan: { to }, jobId }: Move,
  targets: 'keep' | 'delete',
  owners: Owners | null = null,
) => ({ to, jobId, targets, owners });

/** As an undone move asks for it, of the copies that it made in vain. */
export function removalOfCopies(h: Hypervisor, { plan: { to, volumes }, jobId }: Move) {
  const copies = { jobId, owners: [jobId], to };
  const volume = volumes.at(-1)?.name;
  const request = { host: 'h1', pool: to.pool, volume, format: 'qcow2', copies };
  return h.ask('observeRemovalPlan', removeImageInput.parse(request));
}

/** The source is the truth, and whole. */
export async function expectOnSource(h: Hypervisor): Promise<void> {
  await expectUnchanged(h);
  await h.verify();
}
