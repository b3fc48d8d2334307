/**
 * The audit log: one file an event, named by its id, made complete before it gets its name. So an
 * event is appended at most once, however often it is repeated, and needs no lock.
 */
import type { AuditEvent } from '../../workflows/operation/audit.ts';
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
export const eventFile = (event: AuditEvent) => `${event.id}.json`;
export const isEventFile = (name: string) => name.endsWith('.json');
