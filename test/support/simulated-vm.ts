/**
 * A VM in memory with libvirt's and QEMU's measured semantics (FACTS.md 3), for tests of
 * workflows. Jobs go on by the clock, whether an agent looks or not; one that ends says nothing
 * of why.
 */
import { randomUUID } from 'node:crypto';
import type { GuestState, JobRecord, SnapshotChange } from '../../workflows/schemas.ts';
import type { MergePlan, Volume } from '../../workflows/schemas.ts';

export const POOL = 'images';
const MIB = 1048576;

export interface SimulatedJob {
  /** Paths; those of somebody else's job mean nothing. */
  top: string;
  base: string;
  mode: 'active' | 'inner' | 'foreign';
  copiedBytes: number;
  totalBytes: number;
  limit: number;
  atMs: number;
  /** When everything was copied; READY comes later than that. */
  fullAtMs: number | null;
  ready: boolean;
}

export class SimulatedVm {
  readonly name: string;
  readonly uuid = randomUUID();
  state: GuestState = 'running';
  stateReason = 'running (booted)';
  /** Base-most first. Live and persistent view are one here. */
  chain: Volume[];
  /** Paths on the pool's file system. */
  readonly files = new Set<string>();
  job: SimulatedJob | null = null;
  record: JobRecord | null = null;
  snapshots: SnapshotChange[] = [];
  freeBytes = 1e12;
  /** What was changed outside, in order; and `prove`, which must come before `delete`. */
  readonly effects: string[] = [];
  /** Activities that began, in order, each attempt once. */
  readonly calls: string[] = [];

  // How it behaves.
  copyMs = 30;
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

  constructor(name: string, layers = 1) {
    this.name = name;
    this.chain = Array.from({ length: layers + 1 }, (_, n) => volumeOf(name, n));
    for (const { path } of this.chain) this.files.add(path);
  }

  path(layer: number): string {
    return volumeOf(this.name, layer).path;
  }

  paths(): string[] {
    return this.chain.map(({ path }) => path);
  }

  startJob(plan: MergePlan, limit: number): void {
    this.job = {
      top: plan.top.path,
      base: plan.base.path,
      mode: plan.overlay ? 'inner' : 'active',
      copiedBytes: 0,
      totalBytes: plan.committed.length * MIB,
      limit,
      atMs: Date.now(),
      fullAtMs: null,
      ready: false,
    };
  }

  startForeignJob(): void {
    const job = { top: '', base: '', mode: 'foreign', copiedBytes: 0, totalBytes: MIB } as const;
    this.job = { ...job, limit: 0, atMs: Date.now(), fullAtMs: null, ready: false };
  }

  /** QEMU ends, by crash or shutdown; its job with it, and the chain is what it was. */
  stop(stateReason: string): void {
    this.advance();
    Object.assign(this, { state: 'off', stateReason, job: null });
  }

  /** Lets the job do what it did since the last look. */
  advance(): void {
    const { job } = this;
    if (!job || job.mode === 'foreign') return;
    const now = Date.now();
    const perMs = job.limit > 0 ? job.limit / 1000 : job.totalBytes / this.copyMs;
    const copied = Math.floor(job.copiedBytes + perMs * (now - job.atMs));
    if (this.diverges) job.totalBytes = Math.max(job.totalBytes, copied + MIB);
    job.copiedBytes = Math.min(job.totalBytes, copied);
    job.atMs = now;
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

  /** Top and what lies between leave the chain; the files stay. */
  switchChain(top: string, base: string): void {
    const [from, to] = [base, top].map((path) => this.paths().indexOf(path)) as [number, number];
    this.chain = this.chain.filter((_, at) => at <= from || at > to);
    this.job = null;
  }
}

function volumeOf(vm: string, layer: number): Volume {
  return {
    path: `/images/${vm}.layer${layer}`,
    index: layer + 1,
    format: 'qcow2',
    identity: `7:${layer}`,
    virtualSizeBytes: 64 * MIB,
    allocatedBytes: MIB,
    pool: POOL,
    internalSnapshots: [],
  };
}
