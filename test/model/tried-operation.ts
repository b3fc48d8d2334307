/** One operation of a model run: its agent, which is stepped, and how it ends. */
import { isCancellation } from '@temporalio/workflow';
import { TerminatedFailure } from '@temporalio/common';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import {
  failureDetails,
  type FailureCode,
  type RefusalCode,
} from '../../workflows/operation/failures.ts';
import type { SimulatedVm } from '../support/simulator/simulated-vm.ts';
import { SteppedAgent } from './stepped-agent.ts';

/** How an operation ended: its outcome, a code of the closed set, or what a user did. */
export type End =
  | ('merged' | 'already-done' | 'kept' | 'moved' | 'copied' | 'removed')
  | FailureCode
  | RefusalCode
  | ('cancelled' | 'terminated');

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

/** What is the same in the reports of all operations. */
interface Report {
  outcome: End;
  jobId?: string | null;
  chainAfter?: string[];
  removal?: string | null;
  deleted?: string[];
}
type Handle = WorkflowHandle<(input: unknown) => Promise<Report>>;

export class TriedOperation {
  readonly id: string;
  readonly runId: string;
  readonly role: Role;
  readonly agent: SteppedAgent;
  readonly handle: Handle;
  /** What was asked for; null for what an operation has started. */
  wish: Wish | null = null;
  end: End | null = null;
  report: Report | null = null;
  isChecked = false;
  /** Once it is over: the deletions that it has started of its copies. */
  undos: readonly string[] | null = null;
  /** A cancel was sent, and the client that waits has not yet left. */
  mustLeave = false;
  /** A cancel came after the point of no return (I9). */
  refusesCancel = false;
  /** What earlier runs left when this one began. */
  hadLeftovers = false;

  constructor(vm: SimulatedVm, handle: Handle, runId: string, role: Role) {
    [this.id, this.runId, this.role] = [handle.workflowId, runId, role];
    this.agent = new SteppedAgent(vm);
    this.handle = handle;
    void handle.result().then(
      (report) => {
        this.report = report;
        this.end = report.outcome;
      },
      (error: unknown) => {
        this.end = endOf(error);
      },
    );
  }

  get isRunning(): boolean {
    return this.end === null;
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

  async settle(): Promise<void> {
    if (this.isRunning) await this.agent.settled(() => !this.isRunning, this.mustLeave);
    if (this.agent.inside === 0) this.mustLeave = false;
  }
}

export function endOf(error: unknown): End {
  const cause = error instanceof WorkflowFailedError ? error.cause : error;
  if (isCancellation(cause)) return 'cancelled';
  if (cause instanceof TerminatedFailure) return 'terminated';
  return failureDetails(cause)?.details.code ?? 'bug';
}
