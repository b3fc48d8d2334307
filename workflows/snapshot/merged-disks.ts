/** What the audit log knows of the disks of a snapshot: libvirt says of a merged one only `no`. */
import { mergeKind } from '../merge/kind.ts';
import { mergeWords } from '../merge/words.ts';
import type { AuditEvent } from '../operation/audit/audit.ts';
import { isRunning } from '../operation/parts.ts';

interface Snapshot {
  vm: string;
  name: string;
  /** ISO 8601: a snapshot of the same name may have been deleted before. */
  takenAt: string | null;
}

const NOTHING_ELSE = {
  shallow: false,
  keepOverlay: false,
  keepRelative: false,
  keepVolumes: false,
} as const;

/** The merge of one disk of a snapshot, in words as a user types it. */
export const mergeOfDisk = (vm: string, disk: string, snapshot: string) =>
  mergeWords({ ...NOTHING_ELSE, vm, disk, snapshot });

/** The disks that merges of this snapshot have taken out of it, sorted. */
export function mergedDisks(
  events: readonly AuditEvent[],
  { vm, name, takenAt }: Snapshot,
): string[] {
  const ofSnapshot = events.filter(
    ({ kind, operation, disk, request, time }) =>
      operation === mergeKind.type &&
      kind === 'merged' &&
      (takenAt === null || time >= takenAt) &&
      `${request} `.startsWith(`${mergeOfDisk(vm, disk, name)} `),
  );
  return [...new Set(ofSnapshot.map(({ disk }) => disk))].sort();
}

/** A merge of one disk of a snapshot. */
export interface DiskMerge {
  snapshot: string;
  disk: string;
}

/**
 * Merges of disks of snapshots that have begun since then, and have neither ended nor been given
 * up: libvirt's record follows a merge before the layer is deleted, so it says nothing of them.
 */
export function openMerges(events: readonly AuditEvent[], vm: string, since: string): DiskMerge[] {
  const last = new Map<string, AuditEvent>();
  for (const event of events) {
    if (event.operation !== mergeKind.type || event.time < since) continue;
    last.set(`${event.disk} ${event.request}`, event);
  }
  return [...last.values()].flatMap((event) => {
    const { disk, request } = event;
    const snapshot = snapshotIn(request, vm, disk);
    return snapshot === null || !isOpen(event) ? [] : [{ snapshot, disk }];
  });
}

/** What the last event of a merge may be that has something left to do. */
const isOpen = (event: AuditEvent) => isRunning(event) || event.kind === 'failed';

/** The snapshot of `mergeOfDisk`; null for other requests. */
function snapshotIn(request: string, vm: string, disk: string): string | null {
  const before = mergeOfDisk(vm, disk, 'S').slice(0, -1);
  const word = request.slice(before.length);
  const name = word.startsWith("'") ? word.slice(1, -1).replaceAll(`'\\''`, "'") : word;
  return request.startsWith(before) && request === mergeOfDisk(vm, disk, name) ? name : null;
}
