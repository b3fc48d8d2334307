/** One operation on the snapshots of a VM, or on one of its disks. */
import type { SimulatedVm } from '../../support/simulator/simulated-vm.ts';
import { SteppedAgent } from '../stepped-agent.ts';
import { TriedOperation, type Handle } from '../tried-operation.ts';

export const NAMES = ['s1', 's2', 's3'] as const;
export type Name = (typeof NAMES)[number] | 'last';
/** Of those inside of images. */
export const INNER_NAMES = ['i1', 'i2'] as const;
export type InnerName = (typeof INNER_NAMES)[number];
/** No run lasts as long: what a revert leaves stays. */
export const LONG_SECONDS = 600_000;
export type Disk = 'vda' | 'vdb';

/** What a user may ask for. */
export type Wish =
  | { what: 'create'; name: Name }
  | {
      what: 'delete';
      name: Name;
      scope: 'snapshot' | 'children' | 'children-only';
      atOnce: 1 | 2;
    }
  | { what: 'create inside'; name: InnerName }
  /** Of all disks, or only of this one, by its handle there. */
  | { what: 'delete inside'; name: InnerName; disk: Disk | null }
  | { what: 'revert'; name: Name; keepSeconds: number; start: boolean }
  | { what: 'undo'; keepSeconds: number }
  | { what: 'merge'; disk: Disk; snapshot: Name | null };

/** Which one is meant: that of the VM, of a disk, or what deletes what a revert has left. */
export type Role = 'vm' | Disk | 'expiry';

/** One of a role, or the one that has waited longest. */
export interface Which {
  role: Role | 'any';
}

/** The world that an operation is in. */
interface Surroundings {
  vm: SimulatedVm;
  /** Whether all that a deletion has begun moves only with the test. */
  waitsForMerges(operation: SnapshotOperation): Promise<boolean>;
  /** No lock of an operation that was ended is left. */
  untilUnlocked(): Promise<void>;
}

export class SnapshotOperation extends TriedOperation {
  readonly id: string;
  readonly runId: string;
  readonly role: Role;
  /** What was asked for; null for what an operation has started. */
  wish: Wish | null = null;
  readonly #around: Surroundings;
  #isSearched = false;

  constructor(around: Surroundings, handle: Handle, runId: string, role: Role) {
    super(new SteppedAgent(around.vm, handle.workflowId), handle);
    [this.id, this.runId, this.role, this.#around] = [handle.workflowId, runId, role, around];
  }

  override waitsForOthers(): Promise<boolean> {
    // What expires looks again when it likes.
    if (this.role === 'expiry') return Promise.resolve(true);
    if (this.wish?.what !== 'delete') return Promise.resolve(false);
    return this.#around.waitsForMerges(this);
  }

  override async cancel(): Promise<void> {
    // What expires has no status, and no point of no return: what it has deleted is deleted.
    if (this.role === 'expiry') await this.handle.cancel();
    else await super.cancel();
  }

  /** Once it is over, and only once: what it has started to delete what it has left, soon. */
  async findExpiries(): Promise<readonly string[]> {
    const isSoon = this.wish && 'keepSeconds' in this.wish && this.wish.keepSeconds < LONG_SECONDS;
    if (this.isRunning || this.#isSearched || !isSoon) return [];
    this.#isSearched = true;
    const { events } = await this.handle.fetchHistory();
    return (events ?? []).flatMap((event) => {
      const started = event.childWorkflowExecutionStartedEventAttributes;
      const id = started?.workflowExecution?.workflowId ?? '';
      return roleOf(id) === 'expiry' ? [id] : [];
    });
  }

  override async terminate(): Promise<void> {
    await super.terminate();
    await this.#around.untilUnlocked();
  }
}

export function roleOf(id: string): Role {
  if (id.includes('/revert/')) return 'expiry';
  if (id.endsWith('/vda')) return 'vda';
  return id.endsWith('/vdb') ? 'vdb' : 'vm';
}
