/**
 * The audit log: one file an event, named by its id, made complete before it gets its name. So an
 * event is appended at most once, whoever repeats it, and needs no lock.
 */
import { join } from 'node:path';
import type { AuditFilter } from '../../workflows/operation/contract.ts';
import { auditEvent, type AuditEvent } from '../../workflows/chain/schemas.ts';
import { listFolder, readText, writeOnce } from '../adapters/files/files.ts';
import { parseJsonReply } from '../adapters/reply.ts';
import type { Effect } from '../door/effect.ts';

export interface AuditDeps {
  effect: Effect;
  /** Folder of the log. */
  folder: string;
}

/**
 * The id alone: an event that is repeated after a lost workflow task comes with a later time, and
 * is still the same one.
 */
const fileName = (event: AuditEvent) => `${event.id}.json`;

/** Appends the event unless it is there. Durable when it returns. */
export async function ensureEventRecorded(deps: AuditDeps, event: AuditEvent): Promise<void> {
  const target = join(deps.folder, fileName(event));
  await deps.effect('audit.append-event', event.id, () =>
    writeOnce(target, `${JSON.stringify(event)}\n`),
  );
}

/** The newest events that match, oldest first. */
export async function observeEvents(deps: AuditDeps, filter: AuditFilter): Promise<AuditEvent[]> {
  const names = (await listFolder(deps.folder)).filter((name) => name.endsWith('.json'));
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
