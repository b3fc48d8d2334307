/**
 * All images of a VM that is down have a snapshot inside, or none. Only the images say which: what
 * has its name and is not older than the plan is this one, or a part of it.
 */
import { dirname } from 'node:path';
import type { ResultOf } from '../../../../workflows/operation/activities.ts';
import { hold, refused } from '../../../../workflows/operation/failures.ts';
import type { insideOnHost } from '../../../../workflows/snapshot/inside/activities.ts';
import type { InsidePlan } from '../../../../workflows/snapshot/inside/plan.ts';
import { deleteInner, takeInner } from '../../../adapters/copying-daemon/inner-snapshots.ts';
import { whileOpen, type Ask } from '../../../adapters/copying-daemon/open-images.ts';
import { canonical, observeFile } from '../../../adapters/files/files.ts';
import { readHeader, type InnerSnapshot } from '../../../adapters/qemu-img/qemu-img.ts';
import { identityIn } from '../../../pool-folder/id.ts';
import { untilSettled } from '../../../door/polling.ts';
import { wasSaved } from '../../chain/managed-save.ts';
import { lookAtVm } from '../../chain/observe-vm.ts';
import type { HostDeps } from '../../deps.ts';
import { inTurn } from '../../snapshots/in-turn.ts';
import { shell } from '../../../../workflows/operation/names.ts';

type Taken = ResultOf<typeof insideOnHost, 'ensureInsideTaken'>;

/** An attempt of an agent that was taken for dead may still be at work: one after the other. */
export const ensureInsideTaken = (deps: HostDeps, plan: InsidePlan): Promise<Taken> =>
  inTurn(plan.vmUuid, () => take(deps, plan));

/** Transactions, each of which QEMU may be killed in. */
const ATTEMPTS = 3;

async function take(deps: HostDeps, plan: InsidePlan): Promise<Taken> {
  let reason = 'QEMU was not asked';
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const before = await partsOf(plan);
    if (isWhole(plan, before)) return taken(before);
    const said = await whenFree(deps, plan, async (ask) => {
      if (await isWholeElseTakenBack(deps, plan, ask)) return null;
      return deps.effect('image.take-snapshots', target(plan), () =>
        takeInner(ask, plan.disks.map(nodeOf), plan.snapshot),
      );
    });
    if (said.changed !== null) return { outcome: 'changed', reason: partsIn(said.changed, before) };
    reason = `QEMU refused: ${said.refusal ?? 'the images do not show it'}`;
  }
  const after = await partsOf(plan);
  if (isWhole(plan, after)) return taken(after);
  const last = await whenFree(deps, plan, async (ask) => {
    await isWholeElseTakenBack(deps, plan, ask);
    return null;
  });
  if (last.changed !== null) return { outcome: 'changed', reason: partsIn(last.changed, after) };
  const end = await partsOf(plan);
  return isWhole(plan, end) ? taken(end) : { outcome: 'not-taken', reason };
}

/**
 * Looks under QEMU's locks, since an attempt of another agent may have taken it meanwhile, and ids
 * are given again. What only some images have goes.
 */
async function isWholeElseTakenBack(deps: HostDeps, plan: InsidePlan, ask: Ask): Promise<boolean> {
  const parts = await partsOf(plan);
  if (isWhole(plan, parts)) return true;
  await takeBack(deps, plan, parts, ask);
  return false;
}

const attempt = ({ vm, snapshot }: InsidePlan) =>
  `taking snapshot ${snapshot} inside of the images of ${vm}`;
const target = ({ vm, snapshot }: InsidePlan) => `${vm} ${snapshot}`;
const nodeOf = ({ disk }: InsidePlan['disks'][number]) => disk;

/** By disk. */
type Parts = Map<string, InnerSnapshot>;

const isWhole = ({ disks }: InsidePlan, parts: Parts) => disks.every(({ disk }) => parts.has(disk));
const taken = (parts: Parts): Taken => ({
  outcome: 'taken',
  ids: Object.fromEntries([...parts].map(([disk, { id }]) => [disk, id])),
});
const partsIn = (changed: string, parts: Parts) =>
  parts.size === 0
    ? `${changed}; no image has it inside`
    : `${changed}; the images of ${[...parts.keys()].join(', ')} have it inside, others do not`;

async function partsOf(plan: InsidePlan): Promise<Parts> {
  const parts: Parts = new Map();
  for (const { disk, image } of plan.disks) {
    const [facts, planned] = await Promise.all([
      observeFile(image.path),
      identityIn(dirname(image.path), image),
    ]);
    if (!facts || facts.identity !== planned) throw otherFile(plan, disk, image.path);
    const { internalSnapshots } = await readHeader(image.path, 'qcow2');
    const part = internalSnapshots.find(
      ({ name, takenSeconds }) => name === plan.snapshot && takenSeconds >= plan.since,
    );
    if (part) parts.set(disk, part);
  }
  return parts;
}

async function takeBack(deps: HostDeps, plan: InsidePlan, parts: Parts, ask: Ask): Promise<void> {
  for (const [disk, { id, name }] of parts) {
    await deps.effect('image.delete-snapshot', `${plan.vm}/${disk} ${id} ${name}`, () =>
      deleteInner(ask, disk, { id, name }),
    );
  }
}

/** Looks for images that no process has open, half a second apart. */
const PATIENCE = 6;

/** @returns why the VM is not as it was planned, or what QEMU said against it */
async function whenFree(
  deps: HostDeps,
  plan: InsidePlan,
  use: (ask: Ask) => Promise<string | null>,
): Promise<{ changed: string | null; refusal: string | null }> {
  const images = plan.disks.map((one) => ({ node: nodeOf(one), path: one.image.path }));
  const { doubts, ...said } = await untilSettled(PATIENCE, async () => {
    const found = await whileOpen(images, async (ask) => {
      const changed = await changeOf(deps, plan);
      return { doubts: [], changed, refusal: changed === null ? await use(ask) : null };
    });
    if (found) return found;
    const changed = await changeOf(deps, plan);
    const doubts = changed === null ? ['some process has one of its images open'] : [];
    return { doubts, changed, refusal: null };
  });
  const [open] = doubts;
  if (open === undefined) return said;
  throw refused('volume-in-use', {
    attempted: attempt(plan),
    now: `${open}, although the VM is down; not all images have it inside`,
    next: 'End that use, then repeat the request',
  });
}

async function changeOf(deps: HostDeps, plan: InsidePlan): Promise<string | null> {
  const vm = { uuid: plan.vmUuid, name: plan.vm };
  const { state, managedSave, persistentDomain } = await lookAtVm(deps, vm, attempt(plan));
  if (state !== 'off') return `VM ${plan.vm} is ${state} now`;
  if (managedSave) return wasSaved(plan.vm);
  for (const { disk, image } of plan.disks) {
    const recorded = persistentDomain?.disks.find(({ target: name }) => name === disk);
    const active = recorded?.chain.at(-1)?.path;
    const isIt = active !== undefined && (await canonical(active)) === image.path;
    if (!isIt) return `${disk} of VM ${plan.vm} is on ${active ?? 'no file'} now`;
  }
  return null;
}

const otherFile = (plan: InsidePlan, disk: string, path: string) =>
  hold('identity-changed', {
    attempted: attempt(plan),
    now: `${path} is not the file that was planned; it was not touched`,
    next: `Compare with ${shell`blockflow chain ${plan.vm}/${disk}`}, repeat the request`,
  });
