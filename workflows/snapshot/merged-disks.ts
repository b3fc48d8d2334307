/** What the audit log knows of the disks of a snapshot: libvirt says of a merged one only `no`. */
import { mergeKind } from '../merge/kind.ts';
import { mergeWords } from '../merge/words.ts';
import type { AuditEvent } from '../operation/audit.ts';

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
