/** The steps of snapshots and reverts on a hypervisor, as their workflows make them. */
import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import { createSnapshotInput } from '../../../workflows/snapshot/create/request.ts';
import type { Taking } from '../../../workflows/snapshot/create/activities.ts';
import { backwards, changeOf } from '../../../workflows/snapshot/revert/change.ts';
import type { DiskSwitch, RevertNote } from '../../../workflows/snapshot/revert/plan.ts';
import { revertSnapshotInput } from '../../../workflows/snapshot/revert/request.ts';
import type { Hypervisor } from './hypervisor.ts';

export const last = (chain: readonly string[]) => chain.at(-1) ?? '';

const requestOf = ({ ref: { vm, host } }: Hypervisor) =>
  createSnapshotInput.parse({ vm, host, name: 's1' });

export async function planned(hypervisor: Hypervisor) {
  const outcome = await hypervisor.ask('observeSnapshotPlan', requestOf(hypervisor));
  if (outcome.kind !== 'plan') throw new Error(`no plan, but ${outcome.kind}`);
  return outcome.plan;
}

const poolOf = ({ plan: { disks } }: Pick<Taking, 'plan'>) => {
  const [first] = disks;
  if (!first) throw new Error('the plan has no disk');
  return first.to;
};

/** Overlays under their names. @param earlier the same once more */
export async function reserved(hypervisor: Hypervisor, earlier?: Taking) {
  const { ask, ref } = hypervisor;
  const plan = earlier?.plan ?? (await planned(hypervisor));
  const jobId = earlier?.jobId ?? randomUUID();
  const { pool } = poolOf({ plan });
  const reservation = { jobId, owner: jobId, workflow: ref.vm, snapshot: plan, pool };
  const made = await ask('ensureOverlaysCreated', reservation);
  if (made.outcome !== 'created') throw new Error(`${made.path} is taken`);
  return { plan, jobId, overlays: made.overlays, request: requestOf(hypervisor) };
}

type Reserved = Awaited<ReturnType<typeof reserved>>;

export const take = ({ ask }: Hypervisor, { plan, jobId, overlays }: Reserved) =>
  ask('ensureSnapshotTaken', { plan, jobId, overlays });

export const settled = ({ ask }: Hypervisor, { plan, jobId, overlays }: Reserved) =>
  ask('ensureSnapshotSettled', { plan, jobId, overlays });

export async function release(
  { ask }: Hypervisor,
  { plan, jobId }: Reserved,
  targets: 'keep' | 'delete',
): Promise<void> {
  const to = poolOf({ plan });
  const end = await ask('ensureReservationAbsent', { to, jobId, targets, owners: null });
  expect(end.outcome).toBe('removed');
}

/** A snapshot that is taken and listed. */
export async function taken(hypervisor: Hypervisor) {
  const { request, ...taking } = await reserved(hypervisor);
  for (let times = 0; times < 2; times++) {
    const outcome = await take(hypervisor, { request, ...taking });
    expect(outcome).toMatchObject({ outcome: 'taken' });
  }
  await hypervisor.ask('ensureSnapshotListed', taking);
  await release(hypervisor, { request, ...taking }, 'keep');
  const overlay = taking.overlays[0]?.volume.path ?? '';
  return { request, overlay, base: last(hypervisor.chain) };
}

const noteOf = (jobId: string, owner: string, state: RevertNote['state']): RevertNote => ({
  ...{ jobId, owner, workflow: 'contract', time: new Date().toISOString(), state },
});

/** A revert up to its switch. */
export async function planRevert({ ask, ref: { vm, host } }: Hypervisor) {
  const request = revertSnapshotInput.parse({ vm, host, name: 's1' });
  const outcome = await ask('observeRevertPlan', request);
  if (outcome.kind !== 'plan') throw new Error(`no plan, but ${outcome.kind}`);
  const { plan } = outcome;
  const jobId = randomUUID();
  const to = poolOf({ plan } as never);
  const note = noteOf(jobId, jobId, { phase: 'begun', plan });
  const made = await ask('ensureRevertReserved', { note, to });
  if (made.outcome !== 'created') throw new Error(`${made.path} is taken`);
  return { request, plan, jobId, to, change: changeOf(plan, made.overlays) };
}

/** A revert to its end. */
export async function goneBack(hypervisor: Hypervisor) {
  const prepared = await planRevert(hypervisor);
  const { ask } = hypervisor;
  const { change, jobId, to } = prepared;
  for (let times = 0; times < 2; times++) {
    expect(await ask('ensureDisksSwitched', change)).toEqual({ outcome: 'switched' });
  }
  const { vm, vmUuid } = change;
  await ask('ensureSnapshotCurrent', { vm, vmUuid, name: 's1' });
  const note = noteOf(jobId, jobId, { phase: 'kept', change });
  for (let times = 0; times < 2; times++) await ask('ensureLayersRetired', { note, to });
  return { ...prepared, now: change.disks[0]?.to.volume.path ?? '' };
}

type GoneBack = Awaited<ReturnType<typeof goneBack>>;

/** The plan of an undo, and what was left under its name again. */
export async function changeBack(
  { ask, ref: { vm, host } }: Hypervisor,
  { to, jobId }: GoneBack,
): Promise<{ change: DiskSwitch; owner: string }> {
  const request = revertSnapshotInput.parse({ vm, host, undo: true });
  const outcome = await ask('observeRevertPlan', request);
  if (outcome.kind !== 'undo') throw new Error(`no undo, but ${outcome.kind}`);
  const { change } = outcome;
  const owner = randomUUID();
  const note = noteOf(jobId, owner, { phase: 'undoing', change });
  for (let times = 0; times < 2; times++) {
    const restored = await ask('ensureLayersRestored', { note, to });
    expect(restored).toEqual({ outcome: 'restored' });
  }
  return { change: backwards(change), owner };
}

/** An undo to its end. */
export async function undone(hypervisor: Hypervisor, back: GoneBack): Promise<void> {
  const { ask } = hypervisor;
  const { change, owner } = await changeBack(hypervisor, back);
  expect(await ask('ensureDisksSwitched', change)).toEqual({ outcome: 'switched' });
  const note = noteOf(back.jobId, owner, { phase: 'undone', change });
  await ask('ensureLayersRetired', { note, to: back.to });
}
