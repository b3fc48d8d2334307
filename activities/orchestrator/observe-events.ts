import { join } from 'node:path';
import type { AuditFilter } from '../../workflows/operation/audit-filter.ts';
import { auditEvent, type AuditEvent } from '../../workflows/operation/audit.ts';
import { listFolder, readText } from '../adapters/files/files.ts';
import { parseJsonReply } from '../adapters/reply.ts';
import { isEventFile, type AuditDeps } from './audit-log.ts';

/** The newest events that match, oldest first. */
export async function observeEvents(deps: AuditDeps, filter: AuditFilter): Promise<AuditEvent[]> {
  const names = (await listFolder(deps.folder)).filter(isEventFile);
  const events: AuditEvent[] = [];
  for (const name of names) {
    const event = parseJsonReply(auditEvent, name, await readText(join(deps.folder, name)));
    const matches =
      (filter.vm === undefined || event.vm === filter.vm) &&
      (filter.disk === undefined || event.disk === filter.disk);
    if (matches) events.push(event);
  }
  const { length } = events.sort((a, b) => a.time.localeCompare(b.time));
  return events.slice(Math.max(0, length - filter.limit));
}
