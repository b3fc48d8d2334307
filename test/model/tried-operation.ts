/** One operation of a model run: its agent, which is stepped, and how it ends. */
import { isCancellation } from '@temporalio/workflow';
import { TerminatedFailure } from '@temporalio/common';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import {
  failureDetails,
  type FailureCode,
  type RefusalCode,
} from '../../workflows/operation/failures.ts';
import { statusQuery } from '../../workflows/kinds.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { SteppedAgent } from './stepped-agent.ts';

/** How an operation ended: its outcome, a code of the closed set, or what a user did. */
export type End =
  | ('merged' | 'already-done' | 'kept' | 'moved' | 'copied' | 'removed')
  | ('created' | 'deleted' | 'reverted' | 'undone')
  | FailureCode
  | RefusalCode
  | ('cancelled' | 'terminated');

/** What is the same in the reports of all operations. */
interface Report {
  outcome: End;
  jobId?: string | null;
  chainAfter?: string[];
  removal?: string | null;
  deleted?: string[];
}
export type Handle = WorkflowHandle<(input: unknown) => Promise<Report>>;

export class TriedOperation {
  readonly agent: SteppedAgent;
  readonly handle: Handle;
  end: End | null = null;
  report: Report | null = null;
  isChecked = false;
  /** A cancel was sent, and the client that waits has not yet left. */
  mustLeave = false;
  /** A cancel came after the point of no return (I9). */
  refusesCancel = false;
  /** What earlier runs left when this one began. */
  hadLeftovers = false;

  constructor(agent: SteppedAgent, handle: Handle) {
    [this.agent, this.handle] = [agent, handle];
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

  get status() {
    return this.handle.query(statusQuery);
  }

  /** Nothing of its own moves it: it waits for what another operation does. */
  waitsForOthers(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async settle(): Promise<void> {
    const isOver = async () => !this.isRunning || (await this.waitsForOthers());
    if (this.isRunning) await this.agent.settled(isOver, this.mustLeave);
    if (this.agent.inside === 0) this.mustLeave = false;
  }

  async cancel(): Promise<void> {
    this.refusesCancel ||= !(await this.status).cancel.possible;
    await this.handle.cancel();
    this.mustLeave = true;
    // It is answered after the cancel was heard; or the operation is over.
    await this.status.catch(() => undefined);
  }

  async terminate(): Promise<void> {
    await this.handle.terminate();
    this.agent.drop();
    const isOver = () => !this.isRunning && this.agent.inside === 0;
    await waitUntil('the end', isOver, { intervalMs: 3 });
  }

  /** After a failure of the test. */
  async giveUp(): Promise<void> {
    this.agent.open();
    if (this.isRunning) await this.handle.terminate().catch(() => undefined);
  }
}

function endOf(error: unknown): End {
  const cause = error instanceof WorkflowFailedError ? error.cause : error;
  if (isCancellation(cause)) return 'cancelled';
  if (cause instanceof TerminatedFailure) return 'terminated';
  return failureDetails(cause)?.details.code ?? 'bug';
}
