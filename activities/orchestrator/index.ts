/** Local activities of the orchestrator: the audit log, and nothing else outside. */
import { orchestratorActivities } from '../../workflows/operation/audit.ts';
import { implement } from '../door/implement.ts';
import type { AuditDeps } from './audit-log.ts';
import { ensureEventRecorded } from './ensure-event-recorded.ts';
import { observeEvents } from './observe-events.ts';

export const createOrchestratorActivities = (deps: AuditDeps) =>
  implement(orchestratorActivities, null, {
    ensureEventRecorded: (event) => ensureEventRecorded(deps, event),
    observeEvents: (filter) => observeEvents(deps, filter),
  });
