/**
 * A disk of a VM in memory with libvirt's and QEMU's measured semantics (docs/lab/), for tests of
 * workflows. Jobs go on by the clock, whether an agent looks or not; one that ends says nothing
 * of why. test/support/contract/hypervisor-contract.ts holds it to what real ones do.
 */
import type {
  GuestState,
  JobRecord,
  SnapshotChange,
  Volume,
} from '../../../workflows/chain/schemas.ts';
import type { MergePlan } from '../../../workflows/merge/plan.ts';
import { SimulatedContent } from './simulated-content.ts';
import { SimulatedFiles } from './simulated-files.ts';
import type { SimulatedJob } from './simulated-plan.ts';
import { SimulatedImages } from './simulated-images.ts';
import { advanceMirror, type SimulatedMirror } from './live/simulated-mirror.ts';
import { SimulatedMachine } from './simulated-machine.ts';
import { SimulatedInner } from './snapshots/simulated-inner.ts';

const POOL = 'images';
export const POOLS = [POOL, 'vault'] as const;
const MIB = 1048576;

export class SimulatedVm {
  readonly machine: SimulatedMachine;
  readonly disk: string;
  /** Base-most first: what the running QEMU has, and what the persistent XML would boot. */
  live: Volume[];
  persistent: Volume[];
  /** What QEMU has while libvirt shows something else: libvirtd died before it knew (H3). */
  unseen: Volume[] | null = null;
  /** On the file systems of the pools. */
  readonly files = new SimulatedFiles();
  readonly inner = new SimulatedInner(this.files);
  readonly content = new SimulatedContent(this.files, () => this.machine.now());
  /** Copies under way, and the pools that they are in. */
  readonly images = new SimulatedImages();
  job: SimulatedJob | null = null;
  mirror: SimulatedMirror | null = null;
  /** QEMU has switched to the copy of its mirror, and the record does not know. */
  unrecorded = false;
  record: JobRecord | null = null;
  /** The pivot of this disk suspended a running guest, and did not live to resume it. */
  suspendedGuest = false;
  snapshots: SnapshotChange[] = [];
  /** The volume that libvirt's snapshots name. */
  snapshotSource = '';
  freeBytes = 1e12;
  /** What was changed outside, in order; and `prove`, which must come before `delete`. */
  readonly effects: string[] = [];
  /** Activities that began, in order, each attempt once. */
  readonly calls: string[] = [];
  /** Identities of volumes that a proof found out of the chain, or nowhere, and unused. */
  readonly proven = new Set<string>();
  /** What must never happen and did. */
  readonly violations: string[] = [];
  /** Since when qemu-img commits, which holds its locks whether an agent looks or not. */
  coldSinceMs: number | null = null;

  // How it behaves.
  copyMs = 30;
  /** Between two looks of an activity that waits. */
  tickMs = 5;
  readyLagMs = 15;
  /** Times that a job is lost half way, without a word. */
  jobsToLose = 0;
  /** Times that QEMU refuses the pivot. */
  pivotsToRefuse = 0;
  /** libvirt's words for why no commit can start. */
  commitRefusal: string | null = null;
  /** The guest writes faster than the job copies. */
  diverges = false;
  /** Views of the chain differ. */
  disagreement: string | null = null;
  /** A switch that was asked for did not happen, so that the operation may be undone again. */
  switchRefused = false;
  /** Stands around every activity; production has nothing there. */
  door: (<T>(name: string, run: () => Promise<T>) => Promise<T>) | null = null;

  /** Where its layers are. */
  readonly pool: string;

  constructor(machine: string | SimulatedMachine, layers = 1, disk = 'vda', pool = POOL) {
    this.machine = typeof machine === 'string' ? new SimulatedMachine(machine) : machine;
    this.pool = pool;
    this.disk = disk;
    const paths = Array.from({ length: layers + 1 }, (_, layer) => this.path(layer));
    paths.forEach((path, layer) => this.files.create(path, paths[layer - 1]));
    this.persistent = this.volumes(paths.at(-1) ?? '');
    this.live = [...this.persistent];
    this.snapshotSource = this.path(0);
    this.machine.disks.push(this);
  }

  get name(): string {
    return this.machine.name;
  }

  /** Begins the names of its files. */
  get slug(): string {
    return this.disk === 'vda' ? this.name : `${this.name}-${this.disk}`;
  }

  get state(): GuestState {
    return this.machine.state;
  }

  set state(state: GuestState) {
    this.machine.state = state;
  }

  get chain(): Volume[] {
    return this.state === 'off' ? this.persistent : this.live;
  }

  path(layer: number): string {
    return `/${this.pool}/${this.slug}.layer${layer}`;
  }

  /** The chain of this volume, by the headers. */
  volumes(active: string): Volume[] {
    return this.files.chainOf(active).map((path, at) => ({
      path,
      index: at + 1,
      format: 'qcow2',
      identity: this.files.identity(path) ?? 'none',
      virtualSizeBytes: 64 * MIB,
      allocatedBytes: MIB,
      internalSnapshots: this.inner.of(path).map(({ name }) => name),
      pool: path.split('/')[1] ?? '',
    }));
  }

  paths(): string[] {
    return this.chain.map(({ path }) => path);
  }

  persistentPaths(): string[] {
    return this.persistent.map(({ path }) => path);
  }

  startJob(plan: MergePlan, limit: number): void {
    this.job = {
      top: plan.top.path,
      base: plan.base.path,
      mode: plan.overlay ? 'inner' : 'active',
      copiedBytes: 0,
      totalBytes: plan.committed.length * MIB,
      limit,
      atMs: this.machine.now(),
      fullAtMs: null,
      ready: false,
      pending: this.content.blocksOf(plan.committed.map(({ path }) => path)),
    };
  }

  /** A foreign blockcopy, READY at once. */
  startForeignJob(): void {
    const job = { top: '', base: '', mode: 'foreign', copiedBytes: MIB, totalBytes: MIB } as const;
    const atMs = this.machine.now();
    this.job = { ...job, limit: 0, atMs, fullAtMs: atMs, ready: true, pending: [] };
  }

  /** Our kind of job, with the volumes of this plan. */
  isOurs({ top, base }: Pick<MergePlan, 'top' | 'base'>): boolean {
    return this.job?.top === top.path && this.job.base === base.path;
  }

  /** The guest writes a block; base learns of it later, from the job. */
  write(block: number): void {
    if (this.state !== 'running') return;
    this.advance();
    this.content.write(this.paths(), block);
    if (this.job?.mode === 'active') this.job.pending.push(block);
    this.mirror?.pending.push(block);
  }

  flush(): void {
    if (this.state === 'running') this.content.flush(this.paths());
  }

  stop(stateReason: string): void {
    this.machine.stop(stateReason);
  }

  /** Lets the job do what it did since the last look. */
  advance(): void {
    advanceMirror(this);
    const { job } = this;
    if (!job || job.mode === 'foreign') return;
    const now = this.machine.now();
    const perMs = job.limit > 0 ? job.limit / 1000 : job.totalBytes / this.copyMs;
    const copied = Math.floor(job.copiedBytes + perMs * (now - job.atMs));
    if (this.diverges) job.totalBytes = Math.max(job.totalBytes, copied + MIB);
    job.copiedBytes = Math.min(job.totalBytes, copied);
    job.atMs = now;
    const left = Math.ceil(job.pending.length * (1 - job.copiedBytes / job.totalBytes));
    this.copyPending(job, job.pending.length - left);
    if (this.jobsToLose > 0 && job.copiedBytes * 2 >= job.totalBytes) {
      this.jobsToLose--;
      this.job = null;
    }
    if (job.copiedBytes < job.totalBytes) return;
    job.fullAtMs ??= now;
    if (now - job.fullAtMs < this.readyLagMs) return;
    if (job.mode === 'active') job.ready = true;
    else if (this.job) this.switchChain(job.top, job.base);
  }

  copyPending(job: SimulatedJob, count: number): void {
    const upTo = this.paths().indexOf(job.top) + 1;
    this.content.copy(this.paths().slice(0, upTo), job.base, job.pending.splice(0, count));
  }

  /** QEMU's half of a switch, as one step: drains, flushes base, takes the volumes out. */
  switchLive(top: string, base: string): void {
    if (this.job) this.copyPending(this.job, Infinity);
    this.content.settle(base);
    this.live = without(this.live, top, base);
    this.job = null;
  }

  /** Each layer gets a block of its own, and one that the layer below has too. */
  fillLayers(): void {
    this.paths().forEach((path, layer, chain) => {
      for (const block of [0, layer + 1]) this.content.write(chain.slice(0, layer + 1), block);
      this.content.settle(path);
    });
    this.flush();
  }

  /** The record follows a pivot of QEMU. */
  recordLive(): void {
    if (this.unrecorded) this.persistent = [...this.live];
    this.unrecorded = false;
  }

  /** libvirt's half: what the VM boots from. */
  switchPersistent(top: string, base: string): void {
    this.persistent = without(this.persistent, top, base);
    for (const [at, { path }] of this.persistent.entries()) {
      this.files.setBacking(path, this.persistent[at - 1]?.path ?? null);
    }
  }

  /** Top and what lies between leave the chain; the files stay. */
  switchChain(top: string, base: string): void {
    this.switchLive(top, base);
    this.switchPersistent(top, base);
  }
}

function without(chain: Volume[], top: string, base: string): Volume[] {
  const paths = chain.map(({ path }) => path);
  const [from, to] = [paths.indexOf(base), paths.indexOf(top)];
  return chain.filter((_, at) => at <= from || at > to);
}
