/**
 * ExpireReverted: deletes what a revert, or its undo, has discarded, when its time is over. It
 * outlives the operation that has started it. The run that has the note has the layers: one that
 * brings them back, or keeps them longer, has taken the note, and nothing is deleted here.
 */
import {
  ChildWorkflowCancellationType,
  ParentClosePolicy,
  getExternalWorkflowHandle,
  setCurrentDetails,
  sleep,
  startChild,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import * as z from 'zod/mini';
import { copyTarget, namedVolume } from '../../chain/references.ts';
import { spmAgent, unheard } from '../../operation/agents.ts';
import { failureDetails } from '../../operation/failures.ts';
import { uuid, vmName, shell } from '../../operation/names.ts';
import type { AnyOperation } from '../../operation/operation.ts';
import { readQuestion } from '../../operation/request/request.ts';
import { oneLine } from '../../operation/words.ts';
import type { revertOnStorage } from './activities.ts';
import { leftIn, poolsOf } from './change.ts';
import type { DiskSwitch } from './plan.ts';

export const expiry = z.strictObject({
  vm: vmName,
  jobId: uuid,
  owner: uuid,
  keepSeconds: z.int().check(z.positive()),
  pools: z.array(z.strictObject({ to: copyTarget, volumes: z.array(namedVolume) })),
});
export type Expiry = z.output<typeof expiry>;

/** Of a pool that is unavailable, or a run that is not through with it. */
const LONGEST_WAIT_MS = 10 * 60_000;

export async function ExpireReverted(request: Expiry): Promise<string> {
  const { vm, jobId, owner, keepSeconds, pools } = readQuestion(expiry, request);
  const until = new Date(Date.now() + keepSeconds * 1000).toISOString();
  const names = pools.flatMap(({ volumes }) => volumes.map(({ path }) => `\`${path}\``));
  setCurrentDetails(
    `Deletes at ${until} what a revert of \`${vm}\` has discarded: ${names.join(', ')}.\n\n` +
      `Until then ${shell`blockflow snapshot revert ${vm} --undo`} brings it back. A cancel ` +
      'of this workflow keeps the files in `.blockflow/` of their pools.',
  );
  await sleep(keepSeconds * 1000);
  const deleted: string[] = [];
  for (const { to, volumes } of pools) {
    const outcome = await untilSettled({ jobId, owner, to, volumes });
    if (outcome === 'removed') deleted.push(...volumes.map(({ path }) => path));
  }
  const end =
    deleted.length === 0
      ? 'nothing was deleted: another run has the layers'
      : `deleted what ${deleted.join(', ')} had`;
  setCurrentDetails(`${end}.`);
  return end;
}

async function untilSettled(deletion: Deletion): Promise<'removed' | 'kept'> {
  for (let waitMs = 1000; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    const outcome = await outcomeOf(deletion);
    if (outcome !== 'unsettled' && outcome !== 'away') return outcome;
    await sleep(waitMs);
  }
}

type Deletion = Pick<Expiry, 'jobId' | 'owner'> & Expiry['pools'][number];

async function outcomeOf(deletion: Deletion) {
  const { pool } = deletion.to;
  const spm = spmAgent<typeof revertOnStorage>(deletion.to, unheard);
  try {
    const summary = `delete what was discarded in pool ${pool}`;
    return (await spm.ensureRetiredAbsent(deletion, summary)).outcome;
  } catch (error) {
    // What something still needs, or may need, is asked about again.
    const code = failureDetails(error)?.details.code;
    if (code !== 'pool-away' && code !== 'unproven') throw error;
    return 'away' as const;
  }
}

const expiryId = (vm: string, owner: string) => `${vm}/revert/${owner}`;

/** Of what is the VM's again. Without it, it would find nothing to delete. */
export async function endExpiry(vm: string, owner: string): Promise<void> {
  await getExternalWorkflowHandle(expiryId(vm, owner))
    .cancel()
    .catch(() => undefined);
}

interface Discarded {
  jobId: string;
  change: DiskSwitch;
  keepSeconds: number;
}

/** Starts it for an operation, unless it runs already. */
export async function startExpiry(op: AnyOperation, discarded: Discarded): Promise<void> {
  const { jobId, change, keepSeconds } = discarded;
  const { vm } = op.status;
  const pools = poolsOf(change).map((to) => ({ to, volumes: leftIn(change, to.pool) }));
  const input: Expiry = { vm, jobId, owner: op.jobId, keepSeconds, pools };
  const started = startChild('ExpireReverted', {
    workflowId: expiryId(vm, op.jobId),
    args: [input],
    parentClosePolicy: ParentClosePolicy.ABANDON,
    cancellationType: ChildWorkflowCancellationType.ABANDON,
    staticSummary: oneLine(`delete what \`${op.words}\` has discarded, after ${keepSeconds} s`),
  });
  await started.catch((error: unknown) => {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  });
}
