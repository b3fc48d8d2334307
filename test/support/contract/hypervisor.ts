/** A hypervisor, simulated or real, in the eyes of a test, and the steps of a merge on it. */
import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import type { EffectName } from '../../../activities/door/effect.ts';
import { liveMergeInput, type LiveMergeRequest } from '../../../workflows/merge/request.ts';
import type { AgentActivities } from '../simulator/simulated-host.ts';

export type Ask = <K extends keyof AgentActivities>(
  name: K,
  input: Parameters<AgentActivities[K]>[0],
) => Promise<Awaited<ReturnType<AgentActivities[K]>>>;

/** A VM with a chain on some hypervisor, and what others than blockflow can do to it. */
export interface Hypervisor {
  ref: { vm: string; disk: string; host: string };
  /** Paths, base-most first. Every layer has guest data of its own. */
  chain: string[];
  /** Runs an activity once, as a worker does. */
  ask: Ask;
  /** As `ask`, with an agent that dies when this effect is done; it has to happen. */
  askInterrupted: (effect: EffectName, ...input: Parameters<Ask>) => Promise<void>;
  /** Returns when the guest has written once more, flushed: the generation of that write. */
  write(): Promise<number>;
  /** Newest generation on storage, read from this volume down. */
  newestIn(path: string): Promise<number>;
  /** Throws unless the chain that would boot has every flushed write. The VM is down. */
  verify(): Promise<void>;
  killQemu(): Promise<void>;
  shutDown(): Promise<void>;
  startVm(): Promise<void>;
  /** A user copies the disk elsewhere; returns at READY. */
  startForeignJob(): Promise<void>;
  /** A user ends whatever job there is. */
  endJob(): Promise<void>;
  files(): Promise<string[]>;
  /** Where the copy of a volume of the chain would be. */
  copyOf(path: string): string;
  /** The copies that have their names, and the reservations of this job: paths. */
  copies(): Promise<string[]>;
  reserved(jobId: string): Promise<string[]>;
  /** A user makes a file; or removes it. */
  make(path: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** The file system with what is reserved is not mounted; or it is again. */
  takeAway(isAway: boolean): Promise<void>;
}

export const SLOW = 65_536;

/** Plans a merge, and begins it as the workflow does. */
export async function begin(
  { ask, ref }: Hypervisor,
  { limit = 0, ...request }: Partial<LiveMergeRequest> & { limit?: number } = {},
) {
  const planned = await ask('observeMergePlan', liveMergeInput.parse({ ...ref, ...request }));
  if (planned.kind !== 'plan') throw new Error(`no plan, but ${planned.kind}`);
  const job = { plan: planned.plan, jobId: randomUUID() };
  const start = { ...job, bandwidthBytesPerSecond: limit, keepRelative: false };
  return { plan: planned.plan, job, start };
}

export type Begun = Awaited<ReturnType<typeof begin>>;

export const untilReady = ({ ask }: Hypervisor, { job }: Begun) =>
  ask('awaitCommitReady', { ...job, until: 'ready', tellConvergence: false });

/** A merge up to READY. */
export async function ready(hypervisor: Hypervisor): Promise<Begun> {
  const begun = await begin(hypervisor);
  const started = await hypervisor.ask('ensureCommitStarted', begun.start);
  expect(started.outcome).toBe('started');
  expect(await untilReady(hypervisor, begun)).toMatchObject({ outcome: 'ready' });
  return begun;
}

export const observe = ({ ask, ref }: Hypervisor) => ask('observeChain', ref);

export async function expectUnchanged(hypervisor: Hypervisor): Promise<void> {
  const { views, disagreements, vm } = await observe(hypervisor);
  expect(views.headers).toEqual(hypervisor.chain);
  if (vm.state !== 'off') expect(views.live).toEqual(hypervisor.chain);
  expect(disagreements).toEqual([]);
}

/** A case has a hypervisor of its own, whose VM runs, with this many layers (default 1). */
export interface Case {
  title: string;
  layers?: number;
  check(hypervisor: Hypervisor): Promise<void>;
}
