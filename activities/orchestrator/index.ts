/** Local activities of the orchestrator: the audit log, and nothing else outside. */
import { Context } from '@temporalio/activity';
import { orchestratorActivities } from '../../workflows/operation/audit/audit.ts';
import { bug } from '../../workflows/operation/failures.ts';
import { implement } from '../door/implement.ts';
import type { AuditDeps } from './audit-log.ts';
import { ensureEventRecorded } from './ensure-event-recorded.ts';
import { observeEvents } from './observe-events.ts';

export const createOrchestratorActivities = (deps: AuditDeps) =>
  implement(orchestratorActivities, null, {
    ensureEventRecorded: async (event) => {
      assertLocal();
      await ensureEventRecorded(deps, event);
    },
    observeEvents: (filter) => observeEvents(deps, filter),
  });

/** What a client starts on the queue, with words of its own, is no event. */
function assertLocal(): void {
  const { isLocal } = Context.current().info;
  if (!isLocal) throw bug('an event is recorded only by a workflow that the orchestrator runs');
}
