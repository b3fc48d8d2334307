/** A VM's disk, and whatever runs on its image: merges, moves, copies and removals. */
import { Context } from '@temporalio/activity';
import type { ImageRequest, Bench, Cache } from '../../support/workflow-bench.ts';
import type { SimulatedVm } from '../../support/simulator/simulated-vm.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { ImageOperation, type Role, type Wish } from './image-operation.ts';
import type { End } from '../tried-operation.ts';
import { checkAlways, checkEnd, leftoversOf } from './image-checks.ts';

/** The same in every request of a run. */
export interface Manner {
  verify: 'full' | 'none';
  wipe: boolean;
  /** The VM, at the beginning. */
  runs: boolean;
}

export class TriedImage {
  readonly vm: SimulatedVm;
  readonly manner: Manner;
  readonly operations: ImageOperation[] = [];
  /** Identities that an operation has left to its user: finished copies, what a removal kept. */
  readonly granted = new Set<string>();
  /** Identities of files that another process has put in the way. */
  readonly foreign = new Set<string>();
  /** Actions that were done. */
  happened = 0;
  readonly #bench: Bench;
  readonly #cache: Cache;
  #starting: { id: string; role: Role } | null = null;
  #isOpen = false;

  constructor(bench: Bench, cache: Cache, vm: SimulatedVm, manner: Manner) {
    [this.vm, this.manner, this.#bench, this.#cache] = [vm, manner, bench, cache];
    vm.door = (name, run) => {
      const { workflowId = '', runId = '' } = Context.current().info.workflowExecution ?? {};
      return this.#operationOf(workflowId, runId).agent.pass(name, run);
    };
  }

  get ends(): End[] {
    return this.operations.flatMap(({ end }) => end ?? []);
  }

  get endings(): string[] {
    return this.operations.map(({ wish, role, end }) => `${wish?.what ?? role} ${end}`);
  }

  running({ role }: { role: Role }): ImageOperation | undefined {
    return this.operations.findLast((op) => op.role === role && op.isRunning);
  }

  /** An activity arrives: of an operation that is known, or that another one has started. */
  #operationOf(id: string, runId: string): ImageOperation {
    const known = this.operations.find((op) => op.runId === runId);
    if (known) return known;
    const isStarting = this.#starting?.id === id;
    const role = (isStarting ? this.#starting?.role : null) ?? childRole(id);
    const handle = this.#bench.client.workflow.getHandle(id, runId);
    const operation = new ImageOperation(this.vm, handle as ImageOperation['handle'], runId, role);
    operation.hadLeftovers = leftoversOf(this.vm, id).length > 0;
    if (this.#isOpen || role === 'other') operation.agent.open();
    this.operations.push(operation);
    return operation;
  }

  /** False when one of this id runs already. */
  async ask(wish: Wish): Promise<boolean> {
    const { id, role } = this.#nameOf(wish);
    const isBusy = this.operations.some((op) => op.id === id && op.isRunning);
    if (!isBusy) this.#starting = { id, role };
    const started = await this.#start(wish).catch((error: unknown) => error as Error);
    if (started instanceof Error) {
      const isRefused = started.name === 'WorkflowExecutionAlreadyStartedError';
      if (isBusy && isRefused) return false;
      throw started;
    }
    if (isBusy) throw new Error(`a second operation ${id} was not refused`);
    const { runId } = await started.describe();
    const operation = this.#operationOf(id, runId);
    operation.wish = wish;
    this.#starting = null;
    await this.settle();
    return true;
  }

  #nameOf(wish: Wish): { id: string; role: Role } {
    if (wish.what === 'copy base') return { id: `${wish.from}/${this.#base}`, role: 'base' };
    if (wish.what !== 'rm') return { id: `${this.vm.name}/vda`, role: 'disk' };
    return { id: `${wish.from}/${this.vm.slug}.layer${wish.layer}`, role: 'rm' };
  }

  get #base() {
    return `${this.vm.slug}.layer0`;
  }

  #start(wish: Wish) {
    const host = 'h1';
    if (wish.what === 'merge') return this.#bench.merge(this.vm, this.#cache);
    const { verify, wipe } = this.manner;
    const disk = { kind: 'disk', vm: this.vm.name, disk: 'vda' } as const;
    const format = 'qcow2' as const;
    const request = (): ImageRequest => {
      switch (wish.what) {
        case 'move':
          return { operation: 'MoveImage', host, image: disk, to: wish.to, verify, wipe };
        case 'copy':
          return { operation: 'CopyImage', host, image: disk, to: wish.to, verify };
        case 'copy base': {
          const { from: pool, to } = wish;
          const image = { kind: 'volume', pool, volume: this.#base, format } as const;
          return { operation: 'CopyImage', host, image, to, verify };
        }
        case 'rm': {
          const volume = `${this.vm.slug}.layer${wish.layer}`;
          return { operation: 'RemoveImage', host, pool: wish.from, volume, format, wipe };
        }
      }
    };
    return this.#bench.operate(this.#cache, request());
  }

  /** Resolves when nothing moves any more without the test. */
  async settle(): Promise<void> {
    for (let known = -1; known !== this.operations.length;) {
      known = this.operations.length;
      for (const operation of this.operations) await operation.settle();
      await this.#childArrived();
      for (const operation of this.operations) await this.#undosArrived(operation);
    }
    for (const operation of this.operations) checkEnd(this, operation);
  }

  /** A move that is about to end has started the removal of its source. */
  async #childArrived(): Promise<void> {
    const move = this.running({ role: 'disk' });
    if (!move?.agent.waiting().includes('ensureReservationAbsent')) return;
    if (move.wish?.what !== 'move') return;
    const { phase } = await move.status;
    if (phase !== 'deleting') return;
    const since = this.operations.indexOf(move);
    const isIt = (op: ImageOperation, at: number) =>
      op.role === 'removal' && (op.isRunning || at > since);
    await waitUntil(`the removal of ${move.id}'s source`, () => this.operations.some(isIt), {
      intervalMs: 3,
      timeoutMs: 10_000,
    });
  }

  /** Whatever ended early has started the deletion of its copies. */
  async #undosArrived(operation: ImageOperation): Promise<void> {
    const isTransfer = operation.role === 'disk' || operation.role === 'base';
    if (operation.isRunning || operation.undos !== null || !isTransfer) return;
    for (const id of await operation.findUndos()) {
      const isThere = () => this.operations.some((op) => op.id === id);
      await waitUntil(`${id} to begin`, isThere, { intervalMs: 3, timeoutMs: 10_000 });
    }
  }

  check(): void {
    checkAlways(this);
  }

  async giveUp(): Promise<void> {
    this.open();
    await Promise.all(this.operations.map((operation) => operation.giveUp()));
  }

  /** From now on everything happens by itself, and well. */
  open(): void {
    this.#isOpen = true;
    for (const { agent } of this.operations) agent.open();
  }
}

function childRole(id: string): Role {
  if (id.includes('/undo/')) return 'undo';
  return id.includes('/removal/') ? 'removal' : 'other';
}
