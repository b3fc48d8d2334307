/** One operation on an image: asked for by a user, or started by another operation. */
import type { SimulatedVm } from '../../support/simulator/simulated-vm.ts';
import { SteppedAgent } from '../stepped-agent.ts';
import { TriedOperation, type Handle } from '../tried-operation.ts';

export type Pool = 'images' | 'vault';

/** What a user may ask for. */
export type Wish =
  | { what: 'merge' }
  | { what: 'move' | 'copy'; to: Pool }
  /** As a standalone image: the VM may run on it. */
  | { what: 'copy base'; from: Pool; to: Pool }
  | { what: 'rm'; from: Pool; layer: number };

/** Which one of an image's operations is meant: no two of a kind are stepped at once. */
export type Role = 'disk' | 'base' | 'rm' | 'removal' | 'undo' | 'other';

export class ImageOperation extends TriedOperation {
  readonly id: string;
  readonly runId: string;
  readonly role: Role;
  /** What was asked for; null for what an operation has started. */
  wish: Wish | null = null;
  /** Once it is over: the deletions that it has started of its copies. */
  undos: readonly string[] | null = null;

  constructor(vm: SimulatedVm, handle: Handle, runId: string, role: Role) {
    super(new SteppedAgent(vm), handle);
    [this.id, this.runId, this.role] = [handle.workflowId, runId, role];
  }

  async findUndos(): Promise<readonly string[]> {
    const { events } = await this.handle.fetchHistory();
    this.undos = (events ?? []).flatMap((event) => {
      const started = event.childWorkflowExecutionStartedEventAttributes;
      const id = started?.workflowExecution?.workflowId ?? '';
      return id.includes('/undo/') ? [id] : [];
    });
    return this.undos;
  }
}
