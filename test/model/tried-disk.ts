/** One disk of a model run: its operation, and what must hold of both at any time. */
import type { LiveMergeRequest } from '../../workflows/merge/request.ts';
import type { Bench, Cache, MergeHandle } from '../support/workflow-bench.ts';
import type { SimulatedVm } from '../support/simulator/simulated-vm.ts';
import { SteppedAgent } from './stepped-agent.ts';
import { TriedOperation, type End } from './tried-operation.ts';

/** What is merged, and how: the same in every start of a run. */
export interface Wish {
  layers: number;
  /** Top below the active layer. */
  inner: boolean;
  request: Partial<LiveMergeRequest>;
}

/** Ends that tell of faults from outside. All others of the closed set would be defects here. */
const FAILURES: readonly End[] = ['vm-stopped', 'job-lost', 'foreign-job'];

export class TriedDisk {
  readonly vm: SimulatedVm;
  readonly agent: SteppedAgent;
  readonly wish: Wish;
  readonly operations: TriedOperation[] = [];
  /** The user's own job, which no operation may touch. */
  foreign: SimulatedVm['job'] = null;
  readonly #bench: Bench;
  readonly #cache: Cache;
  readonly #initial: string[];

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

  get ends(): End[] {
    return this.operations.flatMap(({ end }) => end ?? []);
  }

  running(): TriedOperation | undefined {
    return this.operations.find(({ isRunning }) => isRunning);
  }

  /** The chain when the wish has come true. */
  get target(): string[] {
    const top = this.wish.inner ? 1 : this.wish.layers;
    return this.#initial.filter((_, layer) => layer === 0 || layer > top);
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
    const hadLeftovers = this.vm.record !== null;
    this.vm.switchRefused = false;
    const handle = (await this.start()) as TriedOperation['handle'];
    const operation = new TriedOperation(this.agent, handle);
    // A terminated run left something, which only a run that succeeds cleans up.
    operation.hadLeftovers = hadLeftovers;
    this.operations.push(operation);
    await this.settle();
  }

  async settle(): Promise<void> {
    await this.operations.at(-1)?.settle();
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
    const operation = this.operations.at(-1);
    if (!operation || operation.end === null || operation.isChecked) return;
    operation.isChecked = true;
    const { end, hadLeftovers, refusesCancel } = operation;
    if (end === 'terminated') return;
    const isDone = end === 'merged' || end === 'already-done';
    const found = isDone || !hadLeftovers ? this.#leftBehind() : [];
    const chain = this.vm.paths().join(' <- ');
    const legal = isDone ? [this.target] : [this.#initial, this.target];
    if (!legal.some((paths) => paths.join(' <- ') === chain)) found.push(`the chain is ${chain}`);
    if (end === 'cancelled' && refusesCancel && !this.vm.switchRefused) {
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

/** Two disks of one VM, each with its own operations. */
export class TriedVm {
  happened = 0;
  readonly disks: readonly [TriedDisk, TriedDisk];

  constructor(disks: readonly [TriedDisk, TriedDisk]) {
    this.disks = disks;
  }

  get endings(): End[] {
    return this.disks.flatMap(({ ends }) => ends);
  }

  async settle(): Promise<void> {
    for (const disk of this.disks) {
      if (disk.vm.state === 'off') disk.foreign = null;
      await disk.settle();
    }
  }

  check(): void {
    for (const disk of this.disks) disk.check();
  }

  async giveUp(): Promise<void> {
    for (const { operations } of this.disks) {
      for (const operation of operations) await operation.giveUp();
    }
  }
}
