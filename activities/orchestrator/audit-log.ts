/**
 * The audit log: one file an event, named by its id, in a folder for each month. It is made
 * complete before it gets its name, so an event is appended at most once, however often it is
 * repeated, and needs no lock. `chain.ts` binds the events together.
 */
import { join } from 'node:path';
import { auditEvent, type AuditEvent } from '../../workflows/operation/audit/audit.ts';
import { listFolder, readText } from '../adapters/files/files.ts';
import { parseJsonReply } from '../adapters/reply.ts';
import type { Effect } from '../door/effect.ts';

export interface AuditDeps {
  effect: Effect;
  /** Folder of the log. */
  folder: string;
  /** Told, once, of each file that is no event. */
  warn?: (words: string) => void;
}

export const monthOf = (event: AuditEvent) => event.time.slice(0, 7);

/**
 * The id alone: an event that is repeated after a lost workflow task comes with a later time, and
 * is still the same one.
 */
export const eventFile = (event: AuditEvent) => `${event.id}.json`;
export const isEventFile = (name: string) => name.endsWith('.json');

/** Folders of the log, the newest month first. */
export async function monthsIn(folder: string): Promise<string[]> {
  const names = await listFolder(folder);
  return names
    .filter((name) => /^\d{4}-\d\d$/.test(name))
    .sort()
    .reverse();
}

/** What was read of each file, which never changes; null for one that is no event. */
const read = new Map<string, AuditEvent | null>();
const AT_ONCE = 32;

/** The events of a month; what cannot be read as one is left out, and told. */
export async function eventsOf(
  { folder, warn }: Pick<AuditDeps, 'folder' | 'warn'>,
  month: string,
): Promise<AuditEvent[]> {
  const names = (await listFolder(join(folder, month))).filter(isEventFile);
  const paths = names.map((name) => join(folder, month, name));
  const unread = paths.filter((path) => !read.has(path));
  while (unread.length > 0) {
    await Promise.all(
      unread.splice(0, AT_ONCE).map(async (path) => {
        const text = await readText(path);
        const event = eventIn(path, text);
        if (event === null) warn?.(`${path} is no event of the audit log; it is left out`);
        read.set(path, event);
      }),
    );
  }
  return paths.map((path) => read.get(path) ?? null).filter((event) => event !== null);
}

/** @returns null when the text is none */
export function eventIn(path: string, text: string): AuditEvent | null {
  try {
    return parseJsonReply(auditEvent, path, text);
  } catch {
    return null;
  }
}
