/**
 * What must hold before an image may be moved, copied or removed. Each guard returns, or refuses
 * with the next step.
 */
import { join } from 'node:path';
import { copiesOf } from '../../../../workflows/transfer/copied.ts';
import type { ImagePlan } from '../../../../workflows/transfer/plan.ts';
import { type ImageRef, imageId } from '../../../../workflows/chain/references.ts';
import { codeOf, endOfUse } from '../../../../workflows/chain/other-hosts.ts';
import { refused, hold } from '../../../../workflows/operation/failures.ts';
import { nameTaken } from '../../../../workflows/transfer/name-taken.ts';
import { keepsSource, type PlanRequest } from '../../../../workflows/transfer/request.ts';
import { isLink, observeFile, type FileFacts } from '../../../adapters/files/files.ts';
import { LONGEST_NAME_BYTES, stagedFile } from '../../../pool-folder/reservation.ts';
import type { HostDeps } from '../../deps.ts';
import { observeReferences } from '../../uses/references.ts';
import { assertNotWritten } from '../../uses/writers.ts';
import { holdLost } from '../../chain/lost-vm.ts';
import { refusedManagedSave } from '../../chain/managed-save.ts';
import type { Image } from '../../chain/observe-image.ts';
import { identitiesOf } from '../../uses/volume-users.ts';
import { shell, typed } from '../../../../workflows/operation/names.ts';

const verb = (request: PlanRequest) => (keepsSource(request) ? 'copying' : 'moving');
export const attempt = (request: PlanRequest) =>
  `${verb(request)} ${imageId(request.image)} to pool ${request.to}`;

/** What makes it one volume. */
export const mergeCommand = (ref: ImageRef) =>
  ref.kind === 'disk' ? `blockflow merge ${typed(imageId(ref))}` : 'qemu-img commit';

/** No process writes to the image, and its views agree on what it is. */
export function assertQuiet(request: PlanRequest, { chain }: Image): void {
  if (!chain) return;
  const { vm } = chain;
  const attempted = attempt(request);
  if (chain.lost) throw holdLost(attempted, vm, chain.lost, false);
  const isRunning = vm.state !== 'off';
  if (isRunning && request.operation === 'CopyImage') {
    throw refused('vm-running', {
      attempted,
      now: `VM ${vm.name} is ${vm.state}; nothing was done`,
      next: `Shut it down first (${shell`virsh shutdown ${vm.name}`}); a running one stays`,
    });
  }
  // A copy changes nothing under it, and reads what the guest flushed before it was saved.
  if (chain.managedSave && !isRunning && request.operation === 'MoveImage') {
    throw refusedManagedSave(attempted, vm.name);
  }
  if (!vm.persistent) {
    throw refused('not-persistent', {
      attempted,
      now: `VM ${vm.name} has no persistent record that could name the copy`,
      next: 'Define it first (`virsh define`)',
    });
  }
  if (chain.record) {
    throw refused('other-operation', {
      attempted,
      now: `job ${chain.record.jobId} of ${chain.record.workflow} is unfinished here`,
      next: `Finish it first: repeat the merge of ${imageId(request.image)}`,
    });
  }
  if (chain.disagreements.length > 0) {
    throw hold('divergent-chain', {
      attempted,
      now: `the views of the chain differ, nothing was touched: ${chain.disagreements.join('; ')}`,
      next: `Compare with ${shell`blockflow chain ${vm.name} ${chain.disk}`} and fix it first`,
    });
  }
}

/**
 * A moved volume is deleted: no other image or VM may refer to it, nor a program write to it.
 * @returns what could not be looked at, in words
 */
export async function assertUnused(
  deps: HostDeps,
  request: PlanRequest,
  image: Image,
): Promise<string[]> {
  const { chain } = image;
  const { uses, warnings } = await observeReferences(deps, {
    volumes: image.volumes,
    pools: image.pools,
    owner: chain && { uuid: chain.vm.uuid, disk: chain.disk },
  });
  const [reference] = uses;
  if (!reference) {
    // QEMU has those of a VM that runs, and others are kept out by its locks.
    if (!chain || chain.vm.state === 'off') await assertNotWritten(attempt(request), image.volumes);
    return warnings;
  }
  throw refused(codeOf(reference), {
    attempted: attempt(request),
    now: `${reference.path} is also used by ${reference.by}; nothing was done`,
    next: {
      child: 'Use `blockflow copy`, which leaves a shared image where it is',
      domain: `Name the image as that VM's disk, or detach it there first`,
      snapshot: `${endOfUse(reference)}, then repeat the request`,
    }[reference.kind],
  });
}

/** What the copies and the record will say is what source and record say now. */
export function assertUnderstood(request: PlanRequest, image: Image, plan: ImagePlan): void {
  const locked = image.volumes.find(
    ({ header }, at) => header.encrypted && plan.volumes[at]?.rebase != null,
  );
  if (locked) {
    throw refused('unsupported-format', {
      attempted: attempt(request),
      now: `${locked.path} is encrypted: its backing name cannot be changed without its key`,
      next: `Merge it first, while the VM runs (\`${mergeCommand(image.ref)}\`)`,
    });
  }
  const [odd] = request.operation === 'MoveImage' ? (image.chain?.xmlDisk.oddElements ?? []) : [];
  if (odd === undefined) return;
  throw refused('unsupported-format', {
    attempted: attempt(request),
    now: `the record of ${imageId(image.ref)} has ${odd}, which blockflow cannot carry over`,
    next: 'Use `blockflow copy`, and define the disk of the copy yourself',
  });
}

/** No copy takes the name of a file that is there, or of another copy. */
export async function assertNamesFree(
  request: PlanRequest,
  { ref, volumes }: Image,
  plan: ImagePlan,
): Promise<void> {
  const names = copiesOf(plan).map((volume) => volume.name);
  const files = await Promise.all(names.map((name) => observeFile(join(plan.to.folder, name))));
  const own = identitiesOf(volumes);
  const isOwn = (file: FileFacts | null) => file !== null && own.has(file.identity);
  // No message may ask a user to delete these: the image stands on them.
  const inPool = names.filter((_, at) => isOwn(files[at] ?? null));
  if (inPool.length > 0) throw alreadyInPool(request, ref, inPool);
  for (const [at, name] of names.entries()) {
    if (Buffer.byteLength(name) > LONGEST_NAME_BYTES) throw tooLong(request, name);
    if (names.indexOf(name) !== at) throw calledTheSame(request, ref, name);
    const there = files[at] ?? null;
    const path = join(plan.to.folder, name);
    // A link that leads nowhere has the name, too.
    const isFree = there === null ? !(await isLink(path)) : await isOfEarlierRun(plan, name, there);
    if (isFree) continue;
    const now = `${path} exists; nothing was done`;
    throw nameTaken(attempt(request), plan.to, name, now);
  }
}

function alreadyInPool(request: PlanRequest, ref: ImageRef, names: readonly string[]) {
  const { to } = request;
  const merge = mergeCommand(ref);
  return refused('same-pool', {
    attempted: attempt(request),
    now:
      `${names.join(', ')} of this image ${names.length > 1 ? 'lie' : 'lies'} in pool ${to} ` +
      'already, and its copy would have the same name; nothing was touched',
    next: keepsSource(request)
      ? otherName(request, ref)
      : `Move it to a third pool first, and from there to ${to}; or merge it (\`${merge}\`)`,
  });
}

const calledTheSame = (request: PlanRequest, ref: ImageRef, name: string) =>
  refused('name-taken', {
    attempted: attempt(request),
    now: `two volumes of this image are called ${name}; nothing was done`,
    next: keepsSource(request)
      ? otherName(request, ref)
      : `Merge it first (\`${mergeCommand(ref)}\`)`,
  });

/** A copy of several disks has no names of its own. */
const otherName = ({ to }: PlanRequest, ref: ImageRef) =>
  'Choose another pool, or give the copy a name ' +
  (ref.kind === 'disk'
    ? `while the VM is down (${shell`blockflow copy ${ref.vm} ${ref.disk} --to ${to} --name NAME`})`
    : '(`--name`)');

const tooLong = (request: PlanRequest, name: string) =>
  refused('invalid-request', {
    attempted: attempt(request),
    now: `the name of ${name} is longer than ${LONGEST_NAME_BYTES} bytes; nothing was done`,
    next: 'Rename that file',
  });

/** It may have given the copy its name already; what that left is adopted or deleted. */
async function isOfEarlierRun(plan: ImagePlan, name: string, there: FileFacts): Promise<boolean> {
  const jobs = [plan.adopted?.jobId ?? [], plan.leftovers].flat();
  const own = jobs.map((jobId) => observeFile(stagedFile(plan.to.folder, jobId, name, 'ready')));
  return (await Promise.all(own)).some((file) => file?.identity === there.identity);
}

/**
 * Each step of a copy has the whole plan in its history, of which Temporal ends a workflow with
 * more than 50 MiB.
 */
const MOST_HISTORY_BYTES = 45 * 2 ** 20;

/** @throws Refused `too-many-layers` */
export function assertFitsHistory(request: PlanRequest, { ref }: Image, plan: ImagePlan): void {
  const steps = plan.volumes.length * (plan.verify === 'none' ? 1 : 2);
  if (Buffer.byteLength(JSON.stringify(plan)) * steps <= MOST_HISTORY_BYTES) return;
  throw refused('too-many-layers', {
    attempted: attempt(request),
    now:
      `its ${plan.volumes.length} layers, with names of that length, are more than one ` +
      'operation can take; nothing was done',
    next: `Merge some first (\`${mergeCommand(ref)}\`), then repeat the request`,
  });
}
