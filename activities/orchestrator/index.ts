/** Local activities of the orchestrator: the audit log, and nothing else outside. */
import type { OrchestratorActivities } from '../../workflows/operation/contract.ts';
import { orchestratorSchemas, parsing } from '../door/schemas.ts';
import type { AuditDeps } from './audit-log.ts';
import { ensureEventRecorded } from './ensure-event-recorded.ts';
import { observeEvents } from './observe-events.ts';

export function createOrchestratorActivities(deps: AuditDeps): OrchestratorActivities {
  return parsing<OrchestratorActivities>(orchestratorSchemas, {
    ensureEventRecorded: (event) => ensureEventRecorded(deps, event),
    observeEvents: (filter) => observeEvents(deps, filter),
  });
}
