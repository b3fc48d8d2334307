/** One disk of a model run: its operation, and what must hold of both at any time. */
import { isCancellation } from '@temporalio/workflow';
import { TerminatedFailure } from '@temporalio/common';
import { WorkflowFailedError } from '@temporalio/client';
import { failureDetails, type FailureCode } from '../../workflows/operation/failures.ts';
import type { LiveMergeRequest } from '../../workflows/merge/request.ts';
import type { LiveMergeResult } from '../../workflows/merge/kind.ts';
import type { Bench, Cache, MergeHandle } from '../support/workflow-bench.ts';
import type { SimulatedVm } from '../support/simulator/simulated-vm.ts';
import { SteppedAgent } from './stepped-agent.ts';

/** What is merged, and how: the same in every start of a run. */
export interface Wish {
  layers: number;
  /** Top below the active layer. */
  inner: boolean;
  request: Partial<LiveMergeRequest>;
}

/** How an operation ended: its outcome, a code of the closed set, or what a user did. */
export type End = LiveMergeResult['outcome'] | FailureCode | 'cancelled' | 'terminated';
/** Ends that tell of faults from outside. All others of the closed set would be defects here. */
const FAILURES: readonly End[] = ['vm-stopped', 'job-lost', 'foreign-job'];

export class TriedDisk {
  readonly vm: SimulatedVm;
  readonly agent: SteppedAgent;
  readonly wish: Wish;
  readonly ends: End[] = [];
  /** Actions that were done to it. */
  happened = 0;
  handle: MergeHandle | null = null;
  end: End | null = null;
  /** A cancel was sent, and the client that waits has not yet left. */
  mustLeave = false;
  /** A cancel of this run came after its point of no return (I9). */
  refusesCancel = false;
  /** The user's own job, which no operation may touch. */
  foreign: SimulatedVm['job'] = null;
  readonly #bench: Bench;
  readonly #cache: Cache;
  readonly #initial: string[];
  #unchecked: End | null = null;
  /** A terminated run left something, which only a run that succeeds cleans up. */
  #hadLeftovers = false;

  constructor(bench: Bench, cache: Cache, vm: SimulatedVm, wish: Wish) {
    Object.assign(vm, { copyMs: 100, readyLagMs: 30 });
    vm.snapshots = [{ name: 's1', action: 'delete' }];
    this.vm = vm;
    this.wish = wish;
    this.agent = new SteppedAgent(vm);
    vm.door = (name, run) => this.agent.pass(name, run);
    this.#bench = bench;
    this.#cache = cache;
    this.#initial = vm.paths();
  }

  get isRunning(): boolean {
    return this.handle !== null && this.end === null;
  }

  /** The chain when the wish has come true. */
  get target(): string[] {
    const top = this.wish.inner ? 1 : this.wish.layers;
    return this.#initial.filter((_, layer) => layer === 0 || layer > top);
  }

  get status() {
    return this.#bench.status(this.handle as MergeHandle);
  }

  start(): Promise<MergeHandle> {
    const { inner, request } = this.wish;
    const top = inner ? { top: this.vm.path(1) } : {};
    return this.#bench.merge(this.vm, this.#cache, { ...request, ...top });
  }

  /** Starts the operation, and follows it to its end. */
  async begin(): Promise<void> {
    // The last run may have ended after it was last looked at: nothing of this one is its fault.
    this.checkEnd();
    this.#hadLeftovers = this.vm.record !== null;
    Object.assign(this, { end: null, mustLeave: false, refusesCancel: false });
    this.vm.switchRefused = false;
    const handle = await this.start();
    this.handle = handle;
    void handle.result().then(
      (result) => this.#ended(result.outcome),
      (error: unknown) => this.#ended(endOf(error)),
    );
    await this.settle();
  }

  #ended(end: End): void {
    this.end = end;
    this.#unchecked = end;
    this.ends.push(end);
  }

  async settle(): Promise<void> {
    if (this.isRunning) await this.agent.settled(() => !this.isRunning, this.mustLeave);
    if (this.agent.inside === 0) this.mustLeave = false;
    this.checkEnd();
  }

  /** What must hold at every instant. */
  check(): void {
    const { vm, foreign } = this;
    const chain = vm.persistentPaths();
    const found = [...vm.violations, ...vm.content.losses, ...vm.content.lost(chain)];
    if (vm.state !== 'off') found.push(...vm.content.lost(vm.paths(), 'shown'));
    for (const path of [...chain, ...vm.live.map((volume) => volume.path)]) {
      if (vm.state !== 'off' && !vm.files.has(path)) found.push(`${path} is gone, and in a chain`);
    }
    if (foreign && vm.job !== foreign) found.push('a foreign job was touched');
    if (found.length > 0) throw new Error(found.join('; '));
  }

  /** What a report claims must be true when it comes (I9, I10, I17). */
  checkEnd(): void {
    const end = this.#unchecked;
    this.#unchecked = null;
    if (end === null || end === 'terminated') return;
    const isDone = end === 'merged' || end === 'already-done';
    const found = isDone || !this.#hadLeftovers ? this.#leftBehind() : [];
    const chain = this.vm.paths().join(' <- ');
    const legal = isDone ? [this.target] : [this.#initial, this.target];
    if (!legal.some((paths) => paths.join(' <- ') === chain)) found.push(`the chain is ${chain}`);
    if (end === 'cancelled' && this.refusesCancel && !this.vm.switchRefused) {
      found.push('the cancel was refused');
    }
    if (!this.#expected().includes(end)) found.push('no such end was to be expected');
    if (found.length === 0) return;
    throw new Error(`${this.vm.slug} ended as ${end}, but ${found.join('; ')}`);
  }

  #leftBehind(): string[] {
    const { vm } = this;
    const found: string[] = [];
    if (vm.record) found.push('a record is left');
    if (vm.job && vm.job !== this.foreign) found.push('a job is left');
    if (vm.suspendedGuest) found.push('the guest is left paused');
    const files = this.wish.request.keepVolumes ? this.#initial : vm.paths();
    if ([...vm.files].sort().join() === [...files].sort().join()) return found;
    return [...found, `the files are ${[...vm.files].join(', ')}`];
  }

  #expected(): End[] {
    const offline = this.wish.request.waitForDecision ? (['invalid-request'] as const) : [];
    return ['merged', 'already-done', 'kept', 'cancelled', ...FAILURES, ...offline];
  }

  /** Each event once; one that tells the end for every run that ended by itself. */
  async checkEvents(): Promise<void> {
    const events = await this.#bench.events(this.vm);
    const ids = events.map(({ id }) => id);
    if (new Set(ids).size !== ids.length) throw new Error(`an event twice: ${ids.join(', ')}`);
    const told = events.filter(({ kind }) => !['started', 'cancel-refused'].includes(kind)).length;
    const ended = this.ends.filter((end) => end !== 'terminated').length;
    // A run may be terminated between its last event and its end.
    if (told < ended || told > this.ends.length) {
      throw new Error(`${this.ends.join(', ')} are in the audit log as ${told} ends`);
    }
  }
}

function endOf(error: unknown): End {
  const cause = error instanceof WorkflowFailedError ? error.cause : error;
  if (isCancellation(cause)) return 'cancelled';
  if (cause instanceof TerminatedFailure) return 'terminated';
  return failureDetails(cause)?.details.code ?? 'bug';
}
