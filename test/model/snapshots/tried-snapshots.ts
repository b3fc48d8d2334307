/** A VM with two disks in two pools, and whatever runs on its snapshots. */
import { Context } from '@temporalio/activity';
import { DISK_LOCK } from '../../../workflows/operation/contract.ts';
import type { Bench, Cache, SnapshotRequest } from '../../support/workflow-bench.ts';
import type { SimulatedVm } from '../../support/simulator/simulated-vm.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Handle } from '../tried-operation.ts';
import { checkAlways, checkEnd } from './snapshot-checks.ts';
import { roleOf, SnapshotOperation, type Which, type Wish } from './snapshot-operation.ts';

const SOON = { intervalMs: 5, timeoutMs: 10_000 };

export class TriedSnapshots {
  readonly disks: readonly [SimulatedVm, SimulatedVm];
  readonly operations: SnapshotOperation[] = [];
  /** Names that a user's virsh has taken or forgotten: no report is to know of it. */
  readonly foreign = new Set<string>();
  /** Actions that were done. */
  happened = 0;
  readonly #bench: Bench;
  readonly #cache: Cache;
  #isOpen = false;

  constructor(bench: Bench, cache: Cache, disks: readonly [SimulatedVm, SimulatedVm]) {
    [this.disks, this.#bench, this.#cache] = [disks, bench, cache];
    for (const vm of disks) {
      Object.assign(vm, { copyMs: 100, readyLagMs: 30 });
      vm.door = (name, run) => {
        const { workflowId = '', runId = '' } = Context.current().info.workflowExecution ?? {};
        return this.#operationOf(workflowId, runId).agent.pass(name, run);
      };
    }
  }

  get vm(): SimulatedVm {
    return this.disks[0];
  }

  get machine() {
    return this.vm.machine;
  }

  get endings(): string[] {
    return this.operations.map(({ wish, role, end }) => `${wish?.what ?? role} ${end}`);
  }

  running({ role }: Which): SnapshotOperation | undefined {
    const all = this.operations.filter(({ isRunning }) => isRunning);
    if (role !== 'any') return all.findLast((op) => op.role === role);
    return all.find(({ agent }) => agent.waiting().length > 0) ?? all[0];
  }

  /** An activity arrives: of an operation that is known, or that another one has started. */
  #operationOf(id: string, runId: string): SnapshotOperation {
    const known = this.operations.find((op) => op.runId === runId);
    if (known) return known;
    const handle: Handle = this.#bench.client.workflow.getHandle(id, runId);
    const around = {
      vm: this.vm,
      waitsForMerges: (op: SnapshotOperation) => this.#waitsForMerges(op),
      untilUnlocked: () => this.#untilUnlocked(),
    };
    const operation = new SnapshotOperation(around, handle, runId, roleOf(id));
    operation.hadLeftovers = this.#hasLeftovers();
    if (this.#isOpen) operation.agent.open();
    this.operations.push(operation);
    return operation;
  }

  #hasLeftovers(): boolean {
    const { notes, state } = this.machine;
    const isOpen = notes.all.some(
      ({ content }) =>
        content.of === 'snapshot' || ['begun', 'undoing'].includes(content.text.state.phase),
    );
    return isOpen || state === 'paused' || this.disks.some(({ record }) => record !== null);
  }

  /** False when another operation has the VM, or the disk. */
  async ask(wish: Wish): Promise<boolean> {
    const started = await this.#start(wish).catch((error: unknown) => error as Error);
    if (started instanceof Error) {
      if (started.name !== 'WorkflowExecutionAlreadyStartedError') throw started;
      const isBusy = this.operations.some(({ role, isRunning }) => role !== 'expiry' && isRunning);
      if (!isBusy) throw new Error(`${JSON.stringify(wish)} is refused, and nothing runs`);
      return false;
    }
    const { runId } = await started.describe();
    const operation = this.#operationOf(started.workflowId, runId);
    operation.wish = wish;
    if (operation.role === 'vm') this.vm.switchRefused = false;
    await this.settle();
    return true;
  }

  #start(wish: Wish) {
    const { name: vm } = this.machine;
    const ref = { vm, host: 'h1' };
    if (wish.what === 'merge') {
      const { disk, snapshot } = wish;
      const request = { onVmStop: 'continue', ...(snapshot === null ? {} : { snapshot }) } as const;
      return this.#bench.merge(this.machine.disk(disk), this.#cache, request);
    }
    const request = (): SnapshotRequest => {
      switch (wish.what) {
        case 'create':
          return { operation: 'CreateSnapshot', ...ref, name: wish.name };
        case 'delete': {
          const { name, scope, atOnce } = wish;
          return { operation: 'DeleteSnapshot', ...ref, name, scope, atOnce };
        }
        case 'create inside':
          return { operation: 'CreateSnapshot', ...ref, name: wish.name, internal: true };
        case 'delete inside':
          return { operation: 'DeleteSnapshot', ...ref, ...this.#handleOf(wish) };
        case 'revert': {
          const { name, keepSeconds, start } = wish;
          return { operation: 'RevertSnapshot', ...ref, name, keepSeconds, start };
        }
        case 'undo':
          return { operation: 'RevertSnapshot', ...ref, undo: true, keepSeconds: wish.keepSeconds };
      }
    };
    return this.#bench.operate(this.#cache, request());
  }

  #handleOf({ name, disk }: Extract<Wish, { what: 'delete inside' }>) {
    if (disk === null) return { name };
    const vm = this.machine.disk(disk);
    const [inner] = vm.paths().flatMap((path) => vm.inner.named(path, name));
    const handle = { format: 'qcow2', id: inner?.id ?? '1', name } as const;
    return { name, only: { disk, handle } };
  }

  /** Every disk that it merges has a merge that is known, and stands still itself. */
  async #waitsForMerges(operation: SnapshotOperation): Promise<boolean> {
    const status = await operation.status.catch(() => null);
    if (status?.operation !== 'DeleteSnapshot' || status.phase !== 'merging') return false;
    const merging = status.disks.filter(({ state }) => state === 'merging');
    const isKnown = ({ disk }: { disk: string }) => this.running({ role: roleOf(`/${disk}`) });
    return merging.length > 0 && merging.every(isKnown);
  }

  async #untilUnlocked(): Promise<void> {
    for (const { name, disk } of this.disks) {
      const handle = this.#bench.client.workflow.getHandle(`${name}/${disk}`);
      await waitUntil(
        `the lock of ${disk} to end`,
        async () => {
          const found = await handle.describe().catch(() => null);
          return found?.type !== DISK_LOCK || found.status.name !== 'RUNNING';
        },
        SOON,
      );
    }
  }

  /** Resolves when nothing moves any more without the test. */
  async settle(): Promise<void> {
    for (let known = -1; known !== this.operations.length;) {
      known = this.operations.length;
      const vmLast = [...this.operations].sort(
        (a, b) => Number(a.role === 'vm') - Number(b.role === 'vm'),
      );
      for (const operation of vmLast) await operation.settle();
      for (const operation of vmLast) await this.#expiriesArrived(operation);
    }
    for (const operation of this.operations) await checkEnd(this, operation);
  }

  async #expiriesArrived(operation: SnapshotOperation): Promise<void> {
    for (const id of await operation.findExpiries()) {
      const isThere = () => this.operations.some((op) => op.id === id);
      await waitUntil(`${id} to begin`, isThere, SOON);
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
