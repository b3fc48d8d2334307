import { join } from 'node:path';
import type { AuditEvent } from '../../workflows/operation/audit/audit.ts';
import { observeFile, readText, takeName } from '../adapters/files/files.ts';
import { eventFile, monthOf, monthsIn, type AuditDeps } from './audit-log.ts';
import { ensureChained, inTurn } from './chain.ts';

/** Appends the event unless it is there. Durable when it returns. */
export const ensureEventRecorded = (deps: AuditDeps, event: AuditEvent): Promise<void> =>
  inTurn(deps.folder, async () => {
    const { folder } = deps;
    const there = await monthWith(folder, event);
    const month = there ?? monthOf(event);
    const path = join(folder, month, eventFile(event));
    await deps.effect('audit.append-event', event.id, async () => {
      const isNew = there === null && (await takeName(path, `${JSON.stringify(event)}\n`, 0o600));
      const text = await readText(path);
      await ensureChained(folder, { month, id: event.id, text, mayBeThere: !isNew });
    });
  });

/** A repeated event may come in the month after. */
async function monthWith(folder: string, event: AuditEvent): Promise<string | null> {
  for (const month of await monthsIn(folder)) {
    if (await observeFile(join(folder, month, eventFile(event)))) return month;
  }
  return null;
}
