/** Where this host keeps the copying daemon of a job, and the limit that its copies have. */
import { Context } from '@temporalio/activity';
import { copierState } from '../../adapters/copying-daemon/daemon.ts';
import { readCopyLimit } from '../../adapters/copying-daemon/limit.ts';
import type { HostDeps } from '../deps.ts';

export const stateOf = (deps: HostDeps, jobId: string) => copierState(deps.runtimeDir, jobId);

/** What this run was told last, or scheduled the copy with. */
export const wantedRate = async (state: string, scheduled: number) =>
  (await readCopyLimit(state, runId())) ?? scheduled;

export const runId = () => Context.current().info.workflowExecution?.runId ?? '';
