import { join } from 'node:path';
import type { AuditEvent } from '../../workflows/operation/audit.ts';
import { writeWhole } from '../adapters/files/files.ts';
import { eventFile, type AuditDeps } from './audit-log.ts';

/** Appends the event unless it is there. Durable when it returns. */
export async function ensureEventRecorded(deps: AuditDeps, event: AuditEvent): Promise<void> {
  const target = join(deps.folder, eventFile(event));
  await deps.effect('audit.append-event', event.id, () =>
    writeWhole(target, `${JSON.stringify(event)}\n`, { ifThere: 'keep' }),
  );
}
