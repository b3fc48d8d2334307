import type { AuditFilter } from '../../workflows/operation/audit/audit-filter.ts';
import type { AuditEvent } from '../../workflows/operation/audit/audit.ts';
import { eventsOf, monthsIn, type AuditDeps } from './audit-log.ts';

/** Temporal refuses a payload of more than 2 MiB, and with it the workflow that asked. */
const MOST_BYTES = 2 ** 20;

/** The newest events that match, oldest first. Months that are not needed are not read. */
export async function observeEvents(deps: AuditDeps, filter: AuditFilter): Promise<AuditEvent[]> {
  let found: AuditEvent[] = [];
  for (const month of await monthsIn(deps.folder)) {
    const events = (await eventsOf(deps, month)).filter((event) => matches(filter, event));
    // Not by `unshift(...)`: a call has room for some 100,000 arguments.
    found = events.sort(byTime).concat(found);
    if (found.length >= filter.limit) break;
  }
  return newest(found, filter.limit);
}

function newest(events: readonly AuditEvent[], limit: number): AuditEvent[] {
  let bytes = 0;
  const last = events.findLastIndex((event, at) => {
    bytes += Buffer.byteLength(JSON.stringify(event));
    return bytes > MOST_BYTES || events.length - at > limit;
  });
  return events.slice(last + 1);
}

/** All are of one form and zone, so that their characters tell the order. */
const byTime = ({ time: a }: AuditEvent, { time: b }: AuditEvent) => Number(a > b) - Number(a < b);

const matches = (filter: AuditFilter, event: AuditEvent) =>
  (filter.vm === undefined || event.vm === filter.vm) &&
  (filter.disk === undefined || event.disk === filter.disk);
