/** Copies of images under way: who holds what, what is reserved, and which pool is unavailable. */
import type { Reservation } from '../../../workflows/transfer/plan.ts';
import { BLOCKS } from './simulated-content.ts';
import type { SimulatedVm } from './simulated-vm.ts';

/** One daemon: it holds files, and copies one after the other, whether an agent looks or not. */
interface Copier {
  /** Identities. */
  held: string[];
  /** By file that is written. */
  copies: Map<string, { from: string; atMs: number; blocks: number }>;
}

/** What is reserved, with its present owner: null when it is being deleted. */
export type Reserved = Omit<Reservation, 'owner'> & { owner: string | null };

export class SimulatedImages {
  /** By job id. */
  readonly copiers = new Map<string, Copier>();
  /** By path of the manifest. */
  readonly reservations = new Map<string, Reserved>();
  /** By job id, whatever was reserved, also when it is gone. */
  readonly jobs = new Map<string, Reservation>();
  /** Pools whose file system is not mounted. */
  readonly away = new Set<string>();
  /** Deletions, by identity. */
  readonly deleted: string[] = [];

  isHeld(identity: string): boolean {
    return [...this.copiers.values()].some(({ held }) => held.includes(identity));
  }

  isAway(path: string): boolean {
    return this.away.has(path.split('/')[1] ?? '');
  }
}

export const reservationFolder = (pool: string, jobId: string) => `/${pool}/.blockflow/${jobId}`;
/** One file for all that the name of a manifest can be: the owner in it changes as one rename. */
export const manifestOf = (pool: string, jobId: string) =>
  `${reservationFolder(pool, jobId)}/job.json`;
export const staged = (
  pool: string,
  jobId: string,
  name: string,
  stage: 'part' | 'copied' | 'ready',
) => `${reservationFolder(pool, jobId)}/${name}.${stage}`;

/** What an agent sees: nothing of a pool that is unavailable. */
export const isThere = ({ files, images }: SimulatedVm, path: string) =>
  files.has(path) && !images.isAway(path);

export const identityOf = (vm: SimulatedVm, path: string) =>
  isThere(vm, path) ? vm.files.identity(path) : null;

/** Lets every copy do what it did since the last look; without space it waits. */
export function advanceCopies(vm: SimulatedVm): void {
  const now = vm.machine.now();
  const perBlockMs = vm.copyMs / BLOCKS.length;
  for (const { copies } of vm.images.copiers.values()) {
    for (const [to, copy] of copies) {
      if (vm.freeBytes === 0) copy.atMs = now;
      while (copy.blocks < BLOCKS.length && now - copy.atMs >= perBlockMs) {
        vm.content.clone(copy.from, to, copy.blocks++);
        copy.atMs += perBlockMs;
      }
    }
  }
}

/** A process has it open, by QEMU's locks: a VM, a copy, qemu-img. */
export function isLocked(vm: SimulatedVm, path: string): boolean {
  const identity = vm.files.identity(path) ?? '';
  const running = vm.state === 'off' ? [] : vm.live;
  if (running.some((volume) => volume.identity === identity)) return true;
  if (vm.mirror?.identity === identity) return true;
  return vm.coldSinceMs !== null || vm.images.isHeld(identity);
}

/** Some process may write to it, so that no other can hold it. */
export function isWritten(vm: SimulatedVm, path: string): boolean {
  const identity = vm.files.identity(path);
  const inLive = vm.live.find((volume) => volume.identity === identity);
  if (vm.mirror && vm.mirror.identity === identity) return true;
  if (vm.coldSinceMs !== null) return inLive !== undefined || isInRecord(vm, identity);
  if (vm.state === 'off' || !inLive) return false;
  return inLive === vm.live.at(-1) || vm.job?.base === path;
}

const isInRecord = (vm: SimulatedVm, identity: string | null) =>
  vm.persistent.some((volume) => volume.identity === identity);

/** Who refers to these files, as the agent finds it out: domains, snapshots, other chains. */
export function referencesTo(
  vm: SimulatedVm,
  identities: ReadonlySet<string>,
  isOwner: boolean,
): { kind: 'domain' | 'snapshot' | 'child'; path: string } | null {
  const own = isOwner ? [] : [...vm.persistentPaths(), ...(vm.state === 'off' ? [] : vm.paths())];
  const has = (path: string) => identities.has(identityOf(vm, path) ?? '');
  const domain = own.find(has);
  if (domain !== undefined) return { kind: 'domain', path: domain };
  const { snapshotSource: source } = vm;
  if (!isOwner && vm.snapshots.length > 0 && has(source)) return { kind: 'snapshot', path: source };
  const listed = isOwner ? undefined : namedByTree(vm).find(has);
  if (listed !== undefined) return { kind: 'snapshot', path: listed };
  const path = childOf(vm, has, has);
  return path === null ? null : { kind: 'child', path };
}

/** Whatever libvirt's snapshots name of a disk: their overlays, and the layers below those. */
export const namedByTree = ({ machine: { tree }, disk, files }: SimulatedVm): string[] =>
  tree.points.flatMap(({ disks, domain }) => [
    ...[disks.get(disk)?.source ?? []].flat(),
    ...files.chainOf(domain.get(disk) ?? ''),
  ]);

/** The first volume that is the backing file of another chain's file. */
export function childOf(
  vm: SimulatedVm,
  isAsked: (path: string) => boolean,
  isOwn: (path: string) => boolean,
): string | null {
  for (const child of vm.files) {
    const path = vm.files.backing(child);
    if (path === null || child.includes('/.blockflow/') || !isThere(vm, child)) continue;
    if (isAsked(path) && !isOwn(child)) return path;
  }
  return null;
}

/** Some reservation has a name of this file, too: it is a copy under way. */
export const isReserved = ({ files }: SimulatedVm, identity: string) =>
  [...files].some((path) => path.endsWith('.ready') && files.identity(path) === identity);
