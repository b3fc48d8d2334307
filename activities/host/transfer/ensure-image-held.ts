/**
 * Holds an image while it is copied: QEMU's own locks keep other processes from writing to it
 * meanwhile, `virsh start` too.
 */
import { dirname } from 'node:path';
import type { InputOf } from '../../../workflows/operation/activities.ts';
import type {
  HoldOutcome,
  ImageJob,
  transferOnHost,
} from '../../../workflows/transfer/activities.ts';
import { cureOf } from '../../../workflows/operation/cure.ts';
import { givenUp } from '../../../workflows/operation/failures.ts';
import { copiedByUs } from '../../../workflows/transfer/copied.ts';
import type { ImagePlan } from '../../../workflows/transfer/plan.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { copierRuns, startCopier, type CopierStart } from '../../adapters/copying-daemon/daemon.ts';
import type { Show } from '../../door/attempt.ts';
import { identityIn } from '../../pool-folder/id.ts';
import type { HostDeps } from '../deps.ts';
import { stateOf, workOf } from './copying-state.ts';

/** Waits for the turn first: meanwhile the VM can start. */
export async function ensureHeldInTurn(
  deps: HostDeps,
  { startedAtMs = 0, ...job }: InputOf<typeof transferOnHost, 'ensureImageHeld'>,
  show: Show,
): Promise<HoldOutcome> {
  const work = workOf(deps, job);
  await deps.turns.take(work, { startedAtMs, show });
  const held = await ensureImageHeld(deps, job);
  if (held.outcome !== 'held') deps.turns.giveBack(work.id);
  return held;
}

type Unheld = Exclude<CopierStart, { running: true }>;

/**
 * Takes the hold unless it is there, and only then trusts what was planned: inode, size and
 * modification time of each volume. A host that died in between has lost the hold, and a process
 * may have written.
 */
export async function ensureImageHeld(
  deps: HostDeps,
  { plan, jobId }: ImageJob,
): Promise<HoldOutcome> {
  const state = stateOf(deps, jobId);
  const files = heldOf(plan).map((volume) => volume.path);
  // Of a running VM the active layer is QEMU's alone.
  if (files.length === 0) return { outcome: 'held' };
  const hold = () => startCopier(state, files);
  const held = (await copierRuns(state))
    ? ({ running: true } as const)
    : await deps.effect('image.hold', files.at(-1) ?? '', hold);
  if (!held.running && held.why === 'locked') return { outcome: 'in-use', reason: held.reason };
  const changed = await changeOf(plan);
  if (changed !== null) return { outcome: 'changed', reason: changed };
  if (!held.running) throw notHeld(files, held);
  return { outcome: 'held' };
}

/** What no process may write: of a running VM's image the lower layers, which QEMU only reads. */
const heldOf = (plan: ImagePlan) => (plan.live ? copiedByUs(plan) : plan.volumes);

/** The fault is this host's: to report the volumes as in use would be a wrong trail. */
const notHeld = (files: readonly string[], { why, reason }: Unheld) =>
  givenUp({
    attempted: `holding ${files.at(-1)} with qemu-storage-daemon`,
    now: reason,
    next:
      why === 'missing'
        ? 'Install it on this host (`blockflow doctor` there names the package), then repeat'
        : cureOf(reason, 'Fix the reported error (`blockflow doctor` there looks closer)'),
  });

/** @returns what is not as it was planned, null when all is. */
async function changeOf(plan: ImagePlan): Promise<string | null> {
  for (const volume of heldOf(plan)) {
    const { path, sizeBytes, modifiedNs } = volume;
    const facts = await observeFile(path);
    const identity = await identityIn(dirname(path), volume);
    const same = facts?.identity === identity && facts.sizeBytes === sizeBytes;
    if (same && facts.modifiedNs === modifiedNs) continue;
    return `${path} was ${facts ? 'written' : 'removed'} meanwhile`;
  }
  return null;
}
