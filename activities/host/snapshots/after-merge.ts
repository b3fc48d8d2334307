/** What a merge makes of a snapshot's record. Pure. */
import type { SnapshotChange } from '../../../workflows/chain/schemas.ts';
import { memoryFile, sourcesOf, type Snapshot } from '../../adapters/libvirt-xml/snapshot-xml.ts';

/** The files that leave the chain of a disk, as the snapshots of its VM spell them. */
export interface Merged {
  disk: string;
  gone: ReadonlySet<string>;
}

/**
 * Without a disk left to restore it goes, unless its memory is in a file: then only the record says
 * whose that is. Else it names what is left of the chain. Null when it names none of the files.
 */
export function changeOf(
  snapshot: Snapshot,
  { disk, gone }: Merged,
): SnapshotChange['action'] | null {
  const { disks } = snapshot;
  const isGone = (source: string | null) => source !== null && gone.has(source);
  const lost = disks.some(({ name, source }) => name === disk && isGone(source));
  const remains = disks.some(({ kind, source }) => kind !== 'no' && !isGone(source));
  if (lost && !remains && memoryFile(snapshot) === null) return 'delete';
  return sourcesOf(snapshot).some(isGone) ? 'redefine' : null;
}

/** Names of the snapshots whose records name other files after the merge. */
export const redefinedBy = (changes: readonly SnapshotChange[]) =>
  namesOf(changes.filter(({ action }) => action === 'redefine'));

export const namesOf = (changes: readonly SnapshotChange[]) => changes.map(({ name }) => name);
