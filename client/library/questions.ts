/**
 * Questions that only a host's agent or the orchestrator can answer, asked through short workflows.
 */
import { randomUUID } from 'node:crypto';
import { hostQueue, ORCHESTRATOR_QUEUE } from '../../workflows/operation/contract.ts';
import { poolLease, type PoolLease } from '../../workflows/pools/activities.ts';
import { auditEvent, type AuditEvent } from '../../workflows/operation/audit/audit.ts';
import { chainObservation, type ChainObservation } from '../../workflows/chain/schemas.ts';
import { diskRef } from '../../workflows/chain/references.ts';
import { snapshotQuestion } from '../../workflows/snapshot/list/request.ts';
import { snapshotTree, type SnapshotTree } from '../../workflows/snapshot/list/schemas.ts';
import { isAlive, pollersOf } from './pollers.ts';
import { BlockflowError, usage } from './failure.ts';
import { call, isAway, type Session } from './session.ts';
import { AGENTS, toBlockflowError } from './temporal-failure.ts';

/** A disk; without a host it is the session's. */
export interface DiskName {
  vm: string;
  disk: string;
  host?: string;
}
export interface EventFilter {
  vm?: string;
  disk?: string;
  /** Newest events to return, 1000 by default. */
  limit?: number;
}

/** For the slowest question: the first look at a large audit log takes 20 s (docs/limits.md). */
const ANSWER_MS = 60_000;

export async function observeChain(session: Session, name: DiskName): Promise<ChainObservation> {
  const parsed = diskRef.safeParse({ host: session.host, ...name });
  if (!parsed.success) {
    const now = parsed.error.issues.map((issue) => issue.message).join('; ');
    throw usage(`naming a disk`, now, 'Name it as VM/DISK, for example web1/vda');
  }
  const { vm, disk, host } = parsed.data;
  const question = `observing the chain of ${vm}/${disk}`;
  const asked = { question, id: `chain ${vm}/${disk}`, host };
  return chainObservation.parse(await ask(session, asked, 'ObserveChain', parsed.data));
}

/** The snapshots of a VM, and what is wrong with them. */
export async function observeSnapshots(
  session: Session,
  name: { vm: string; host?: string },
): Promise<SnapshotTree> {
  const parsed = snapshotQuestion.safeParse({ host: session.host, ...name });
  if (!parsed.success) {
    const now = parsed.error.issues.map((issue) => issue.message).join('; ');
    throw usage('naming a VM', now, '`virsh list --all` shows the names of VMs');
  }
  const { vm, host } = parsed.data;
  const asked = { question: `listing the snapshots of ${vm}`, id: `snapshots ${vm}`, host };
  return snapshotTree.parse(await ask(session, asked, 'ListSnapshots', parsed.data));
}

/** Oldest first. */
export async function observeEvents(session: Session, filter: EventFilter): Promise<AuditEvent[]> {
  const whole = { limit: 1000, ...filter };
  const asked = { question: 'reading the audit log', id: 'events', host: null };
  return auditEvent.array().parse(await ask(session, asked, 'ObserveEvents', whole));
}

/** The pools of a host and their SPMs, sorted by name. */
export async function observeLeases(
  session: Session,
  host: string = session.host,
): Promise<PoolLease[]> {
  const asked = { question: `asking for the SPMs of host ${host}`, id: `spm ${host}`, host };
  const leases = poolLease.array().parse(await ask(session, asked, 'ObserveLeases', { host }));
  return leases.sort((a, b) => a.pool.localeCompare(b.pool));
}

export interface Question {
  question: string;
  id: string;
  /** Host whose agent answers, null for the orchestrator alone. */
  host: string | null;
}

export async function ask(
  session: Session,
  { question, id, host }: Question,
  type: string,
  argument: unknown,
): Promise<unknown> {
  await assertServed(session, question, host);
  try {
    return await call(session, question, ANSWER_MS + 5000, () =>
      session.client.workflow.execute(type, {
        workflowId: `${id} ${randomUUID().slice(0, 8)}`,
        taskQueue: ORCHESTRATOR_QUEUE,
        workflowExecutionTimeout: ANSWER_MS,
        staticSummary: question,
        args: [argument],
      }),
    );
  } catch (error) {
    throw isAway(error) ? error : toBlockflowError(error, question);
  }
}

/** A question does not wait for an agent that has not been seen for a while, or never. */
async function assertServed(session: Session, attempted: string, host: string | null) {
  const queues = [
    { queue: ORCHESTRATOR_QUEUE, kind: 'workflow', who: 'no orchestrator' },
    ...(host === null
      ? []
      : ([{ queue: hostQueue(host), kind: 'activity', who: `no agent of host ${host}` }] as const)),
  ] as const;
  for (const { queue, kind, who } of queues) {
    if (isAlive(await pollersOf(session, queue, kind))) continue;
    const code = kind === 'workflow' ? 'orchestrator-away' : 'agent-away';
    const now = `${who} is connected to Temporal at ${session.address}`;
    throw new BlockflowError('Away', { code, attempted, now, next: AGENTS });
  }
}
