/** What the disks of one VM in memory share: whether QEMU runs, and the time that passes for it. */
import { randomUUID } from 'node:crypto';
import type { GuestState } from '../../../workflows/chain/schemas.ts';
import type { SimulatedVm } from './simulated-vm.ts';
import { SimulatedNotes } from './snapshots/simulated-notes.ts';
import { SimulatedTree } from './snapshots/simulated-tree.ts';

export class SimulatedMachine {
  readonly name: string;
  readonly uuid = randomUUID();
  readonly disks: SimulatedVm[] = [];
  /** What libvirt lists, and what blockflow keeps in the pools for it. */
  readonly tree = new SimulatedTree();
  readonly notes = new SimulatedNotes();
  /** Layers that a revert has left, and that were deleted when their time was over. */
  readonly expired = new Set<string>();
  /** The script that takes a snapshot has suspended the guest, and did not live to resume it. */
  snapshotSuspends = false;
  stateReason = 'running (booted)';
  #state: GuestState = 'running';
  /** Time that stands still until a test lets it pass; null is the clock on the wall. */
  #stoodAtMs: number | null = null;
  #shiftMs = 0;

  constructor(name: string) {
    this.name = name;
  }

  get state(): GuestState {
    return this.#state;
  }

  /** A VM that starts has the chain that its persistent XML and the headers name. */
  set state(state: GuestState) {
    if (this.#state === 'off') for (const disk of this.disks) disk.live = [...disk.persistent];
    this.#state = state;
  }

  disk(target: string): SimulatedVm {
    const found = this.disks.find(({ disk }) => disk === target);
    if (!found) throw new Error(`${this.name} has no ${target}`);
    return found;
  }

  now(): number {
    return (this.#stoodAtMs ?? Date.now()) + this.#shiftMs;
  }

  standStill(): void {
    this.#stoodAtMs = Date.now();
  }

  pass(ms: number): void {
    this.#shiftMs += ms;
  }

  goOn(): void {
    if (this.#stoodAtMs === null) return;
    this.#shiftMs -= Date.now() - this.#stoodAtMs;
    this.#stoodAtMs = null;
  }

  /**
   * QEMU ends, and the jobs with it; the chains are what they were. An orderly end flushes, a crash
   * does not.
   */
  stop(stateReason: string, unflushedSurvives = !stateReason.includes('crashed')): void {
    if (this.#state === 'off') return;
    for (const disk of this.disks) {
      disk.advance();
      Object.assign(disk, { job: null, unseen: null, mirror: null, unrecorded: false });
      const open = [...disk.paths(), ...disk.persistentPaths()];
      disk.content.crash(disk.persistentPaths(), open, unflushedSurvives);
    }
    Object.assign(this, { state: 'off', stateReason });
  }

  /** QEMU does not get its locks while qemu-img or a copy has them. */
  get mayStart(): boolean {
    return this.#state === 'off' && this.disks.every(mayBeOpened);
  }

  start(): void {
    if (!this.mayStart) return;
    Object.assign(this, { state: 'running', stateReason: 'running (booted)' });
  }
}

function mayBeOpened({ coldSinceMs, images, files, persistent }: SimulatedVm): boolean {
  const paths = persistent.map(({ path }) => path);
  const active = files.identity(paths.at(-1) ?? '') ?? '';
  if (paths.some((path) => !files.has(path) || images.isAway(path))) return false;
  return coldSinceMs === null && !images.isHeld(active);
}
