/** Local activities of the orchestrator: the audit log, and nothing else outside. */
import type { OrchestratorActivities } from '../../workflows/operation/contract.ts';
import { orchestratorSchemas, parsing } from '../door/schemas.ts';
import { ensureEventRecorded, observeEvents, type AuditDeps } from './audit-log.ts';

export function createOrchestratorActivities(deps: AuditDeps): OrchestratorActivities {
  return parsing<OrchestratorActivities>(orchestratorSchemas, {
    ensureEventRecorded: (event) => ensureEventRecorded(deps, event),
    observeEvents: (filter) => observeEvents(deps, filter),
  });
}
