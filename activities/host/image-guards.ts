/**
 * What must hold before an image may be moved, copied or removed. Each guard returns, or refuses
 * with the next step.
 */
import { join } from 'node:path';
import type { ImagePlan } from '../../workflows/image-schemas.ts';
import { codeOf, refusedImage } from '../../workflows/image-failures.ts';
import { imageId, type PlanRequest } from '../../workflows/move-contract.ts';
import { hold } from '../../workflows/failures.ts';
import { observeFile } from '../adapters/files.ts';
import { LONGEST_NAME_BYTES, stagedFile } from '../adapters/image-files.ts';
import type { HostDeps } from './deps.ts';
import { observeReferences } from './image-references.ts';
import type { Image } from './observe-image.ts';

const verb = ({ operation }: PlanRequest) => (operation === 'MoveImage' ? 'moving' : 'copying');
const attempt = (request: PlanRequest) =>
  `${verb(request)} ${imageId(request.image)} to pool ${request.to}`;

/** Nobody writes to the image, and its views agree on what it is. */
export function assertQuiet(request: PlanRequest, { chain }: Image): void {
  if (!chain) return;
  const { vm } = chain;
  const attempted = attempt(request);
  if (vm.state !== 'off') {
    throw refusedImage('vm-running', {
      attempted,
      now: `VM ${vm.name} is ${vm.state}; nothing was done`,
      next: `Shut it down first (\`virsh shutdown ${vm.name}\`); a running one stays`,
    });
  }
  if (!vm.persistent) {
    throw refusedImage('not-persistent', {
      attempted,
      now: `VM ${vm.name} has no persistent record that could name the copy`,
      next: 'Define it first (`virsh define`)',
    });
  }
  if (chain.record) {
    throw refusedImage('other-operation', {
      attempted,
      now: `job ${chain.record.jobId} of ${chain.record.workflow} is unfinished here`,
      next: `Finish it first: repeat the merge of ${imageId(request.image)}`,
    });
  }
  if (chain.disagreements.length > 0) {
    throw hold('divergent-chain', {
      attempted,
      now: `the views of the chain differ, nothing was touched: ${chain.disagreements.join('; ')}`,
      next: `Compare with \`blockflow chain ${vm.name} ${chain.disk}\` and mend it first`,
    });
  }
}

/** A moved volume is deleted: nobody else may refer to it. */
export async function assertUnreferenced(
  deps: HostDeps,
  request: PlanRequest,
  image: Image,
): Promise<void> {
  const { chain } = image;
  const [reference] = await observeReferences(deps, {
    volumes: image.volumes,
    pools: image.pools,
    owner: chain && { uuid: chain.vm.uuid, disk: chain.disk },
  });
  if (!reference) return;
  throw refusedImage(codeOf(reference), {
    attempted: attempt(request),
    now: `${reference.path} is also used by ${reference.by}; nothing was done`,
    next:
      reference.kind === 'child'
        ? 'Use `blockflow copy`, which leaves a shared image where it is'
        : `Name the image as that VM's disk, or detach it there first`,
  });
}

/** No copy takes the name of a file that is there, or of another copy. */
export async function assertNamesFree(request: PlanRequest, plan: ImagePlan): Promise<void> {
  const names = plan.volumes.map((volume) => volume.name);
  for (const [at, name] of names.entries()) {
    const path = join(plan.to.folder, name);
    if (Buffer.byteLength(name) > LONGEST_NAME_BYTES) throw tooLong(request, name);
    const twice = names.indexOf(name) !== at;
    if (!twice && !(await isTaken(plan, name, path))) continue;
    throw refusedImage('name-taken', {
      attempted: attempt(request),
      now: twice ? `two of its volumes are called ${name}` : `${path} exists; nothing was done`,
      next: 'Rename or remove that file, or choose another pool',
    });
  }
}

const tooLong = (request: PlanRequest, name: string) =>
  refusedImage('invalid-request', {
    attempted: attempt(request),
    now: `the name of ${name} is longer than ${LONGEST_NAME_BYTES} bytes; nothing was done`,
    next: 'Rename that file',
  });

async function isTaken(plan: ImagePlan, name: string, path: string): Promise<boolean> {
  const there = await observeFile(path);
  if (!there) return false;
  // An earlier run may have given it its name already; what that left is adopted or deleted.
  const jobs = [plan.adopted?.jobId ?? [], plan.leftovers].flat();
  const own = jobs.map((jobId) => observeFile(stagedFile(plan.to.folder, jobId, name, 'ready')));
  return !(await Promise.all(own)).some((file) => file?.identity === there.identity);
}

export function tooSmall(request: PlanRequest, plan: ImagePlan, totalBytes: number) {
  return refusedImage('not-enough-space', {
    attempted: attempt(request),
    now: `it needs ${plan.spaceNeededBytes} bytes, the pool's whole file system has ${totalBytes}`,
    next: 'Enlarge that pool, or choose another one',
  });
}
