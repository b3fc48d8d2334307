/**
 * Deletions that no operation waits for: of the source that a move has left, of the copies that a
 * move or a copy has made in vain. Each is a RemoveImage that outlives its parent.
 */
import { ChildWorkflowCancellationType, startChild } from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { AnyOperation } from '../operation/operation.ts';
import { ownLife } from '../operation/own-life.ts';
import { requestPage } from '../operation/page.ts';
import { oneLine } from '../operation/words.ts';
import { removalKind } from './kind.ts';
import type { RemoveImageInput } from './request.ts';

export type DetachedRemoval = Omit<RemoveImageInput, 'host' | 'requestedBy'>;

/** Starts it for an operation, unless it runs already. @returns the workflow's id */
export async function startRemoval(op: AnyOperation, removal: DetachedRemoval): Promise<string> {
  const { host } = op.status;
  const input: RemoveImageInput = { ...removal, host, requestedBy: op.requestedBy };
  const started = startChild(removalKind.type, {
    ...ownLife(removalKind, input, pagesOf(input, op.id)),
    cancellationType: ChildWorkflowCancellationType.ABANDON,
  });
  // Of this very job: an earlier run has started it, by its own undo or before it was ended.
  await started.catch((error: unknown) => {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  });
  return removalKind.id(input);
}

/** Summary and page of a removal that no user typed: of what `by` has left, or copied in vain. */
export function pagesOf(input: RemoveImageInput, by: string) {
  const { pool, volume, copies, wipe } = input;
  const image = `${pool}/${volume}${wipe ? ', overwritten first' : ''}`;
  const what = copies ? `copies that ${by} made in vain` : `the source that ${by} has left`;
  return {
    staticSummary: oneLine(`delete ${what}: ${image}`),
    staticDetails: requestPage(removalKind, input, what),
  };
}
