/**
 * Short workflows that only look: a client has no rights on hosts, so it asks their agents through
 * Temporal.
 */
import { auditLog, hostAgent } from '../operation/agents.ts';
import type { AuditFilter } from '../operation/contract.ts';
import { assertUnsharedElsewhere } from '../merge/planning.ts';
import type { AgentOf } from '../operation/other-hosts.ts';
import { diskQuestion, eventsQuestion, mergeQuestion } from '../operation/request-check.ts';
import type {
  AuditEvent,
  ChainObservation,
  DiskRef,
  LiveMergeInput,
  PlanOutcome,
} from './schemas.ts';

const agentOf: AgentOf = (host) => hostAgent(host, nobody);
const nobody = () => undefined;

/** getVolumeChain: the chain in its four views, and where they disagree. */
export async function ObserveChain(request: DiskRef): Promise<ChainObservation> {
  const ref = diskQuestion(request);
  return hostAgent(ref.host, nobody)('observeChain', ref, `observe ${ref.vm}/${ref.disk}`);
}

/** `--dry-run`: the plan that a merge would follow, or its refusal; nothing is touched. */
export async function PlanMerge(request: LiveMergeInput): Promise<PlanOutcome> {
  const input = mergeQuestion(request);
  const summary = `plan a merge of ${input.vm}/${input.disk}`;
  const outcome = await hostAgent(input.host, nobody)('observeMergePlan', input, summary);
  if (outcome.kind === 'plan') await assertUnsharedElsewhere(agentOf, outcome.plan);
  return outcome;
}

/** The audit log, oldest first. */
export async function ObserveEvents(filter: AuditFilter): Promise<AuditEvent[]> {
  return auditLog.observeEvents(eventsQuestion(filter));
}
