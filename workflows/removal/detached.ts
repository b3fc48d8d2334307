/**
 * Deletions for which nobody waits: of the source that a move has left, of the copies that a move
 * or a copy has made in vain. Each is a RemoveImage that outlives its parent.
 */
import { ChildWorkflowCancellationType, ParentClosePolicy, startChild } from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { searchAttributes } from '../operation/contract.ts';
import { fileName } from '../operation/page.ts';
import { removalPages } from '../transfer/page.ts';
import type { ImageOperation } from '../transfer/image-operation.ts';
import type { ImagePlan, MoveImageInput, RemoveImageInput } from '../transfer/schemas.ts';
import { removalId } from '../transfer/activities.ts';
import { named } from '../operation/other-hosts.ts';

type Removal = Omit<RemoveImageInput, 'host' | 'requestedBy'>;

/** The source, with `--wipe` or without. @returns the workflow's id */
export function deleteSource(
  op: ImageOperation,
  { volumes: all }: ImagePlan,
  { wipe }: MoveImageInput,
): Promise<string> {
  const { pool, path: top, format } = activeLayer(all);
  const left = { jobId: op.jobId, volumes: all.map(named) };
  return start(op, { pool, volume: fileName(top), format, wipe, left, copies: null });
}

/** The copies, unless a repeated request is faster and adopts them. @returns the workflow's id */
export function deleteCopies(op: ImageOperation, plan: ImagePlan): Promise<string> {
  const { name: volume, format: before, convert } = activeLayer(plan.volumes);
  const format = convert?.format ?? before;
  const { to, adopted } = plan;
  const owners = [op.owner, ...(adopted ? [adopted.owner] : [])];
  const copies = { jobId: op.jobId, owners, to };
  return start(op, { pool: to.pool, volume, format, wipe: false, left: null, copies });
}

/**
 * The copies that earlier runs made in other pools, once this one's are complete: until then they
 * may be all there is, if the source of an image of no VM is being deleted already.
 * @returns warnings
 */
export async function deleteElsewhere(op: ImageOperation, { elsewhere }: ImagePlan) {
  const warnings: string[] = [];
  for (const { jobId, owner, to, volume, format, isUsed } of elsewhere) {
    if (isUsed) continue;
    const copies = { jobId, owners: [owner], to };
    const removal = { pool: to.pool, volume, format, wipe: false, left: null, copies };
    await start(op, removal).catch((error: unknown) => {
      warnings.push(`the copies of job ${jobId} in pool ${to.pool} stay: ${String(error)}`);
    });
  }
  return warnings;
}

const activeLayer = (volumes: ImagePlan['volumes']) => volumes.at(-1) as ImagePlan['volumes'][0];

async function start(op: ImageOperation, removal: Removal): Promise<string> {
  const { host } = op.status;
  const input: RemoveImageInput = { ...removal, host, requestedBy: op.requestedBy };
  const workflowId = removalId(input);
  const started = startChild('RemoveImage', {
    workflowId,
    args: [input],
    parentClosePolicy: ParentClosePolicy.ABANDON,
    cancellationType: ChildWorkflowCancellationType.ABANDON,
    ...removalPages(input, op.id),
    typedSearchAttributes: [
      { key: searchAttributes.vm, value: input.pool },
      { key: searchAttributes.disk, value: input.volume },
      { key: searchAttributes.host, value: host },
      { key: searchAttributes.operation, value: 'RemoveImage' },
      { key: searchAttributes.phase, value: 'planning' },
    ],
  });
  // Of this very job: an earlier run has started it, by its own undo or before it was ended.
  await started.catch((error: unknown) => {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  });
  return workflowId;
}
