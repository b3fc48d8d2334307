/** A short workflow that only looks into the audit log. */
import { auditLog } from './agents.ts';
import type { AuditEvent } from './audit/audit.ts';
import { auditFilter, type AuditFilter } from './audit/audit-filter.ts';
import { readQuestion } from './request/request.ts';

/** The audit log, oldest first. */
export async function ObserveEvents(filter: AuditFilter): Promise<AuditEvent[]> {
  return auditLog.observeEvents(readQuestion(auditFilter, filter));
}
