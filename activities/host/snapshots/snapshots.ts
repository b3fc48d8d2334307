/** What libvirt's snapshots of a VM say of its files; each reading is of the whole list. */
import { hold } from '../../../workflows/operation/failures.ts';
import { canonical } from '../../adapters/files/files.ts';
import { type Snapshot, sourcesOf } from '../../adapters/libvirt-xml/snapshot-xml.ts';
import { readSnapshot } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import { type Identities, isOneOf } from '../uses/volume-users.ts';
import { shell } from '../../../workflows/operation/names.ts';

/** All of a VM, parents first. @throws as `snapshotTexts` */
export async function observeSnapshots({ libvirt }: HostDeps, uuid: string): Promise<Snapshot[]> {
  const texts = await snapshotTexts(libvirt, uuid);
  return Promise.all(texts.map(({ xml }) => readSnapshot(libvirt, xml)));
}

interface SnapshotText {
  name: string;
  xml: string;
}

/**
 * The XML of each snapshot of a VM, parents first; without one that is deleted meanwhile.
 * @throws Hold `unproven` for one that virsh lists and does not find: its name has a line break
 */
export async function snapshotTexts(
  libvirt: HostDeps['libvirt'],
  uuid: string,
): Promise<SnapshotText[]> {
  const names = await libvirt.snapshotNames(uuid);
  const texts = names.map(async (name) => {
    const xml = await libvirt.snapshotXml(uuid, name);
    if (xml !== null) return { name, xml };
    if ((await libvirt.snapshotNames(uuid)).includes(name)) throw nameless(uuid, name);
    return null;
  });
  return (await Promise.all(texts)).filter((text) => text !== null);
}

const nameless = (uuid: string, line: string) =>
  hold('unproven', {
    attempted: `reading the snapshots of VM ${uuid}`,
    now: `one has a line break in its name: virsh lists "${line}", and finds none of that name`,
    next: `Delete it or take it under another name; see ${shell`virsh snapshot-list ${uuid}`}`,
  });

/**
 * The names that the snapshots use for these files: libvirt spells a file as its user did, perhaps
 * by a link.
 */
export async function spellingsOf(
  snapshots: readonly Snapshot[],
  paths: readonly string[],
): Promise<Set<string>> {
  const found = new Set(paths);
  for (const source of snapshots.flatMap(sourcesOf)) {
    if (paths.includes(await canonical(source))) found.add(source);
  }
  return found;
}

/** The snapshots of one VM that name any of the files, parents first. */
export async function snapshotsNaming(
  deps: HostDeps,
  uuid: string,
  files: Identities,
): Promise<string[]> {
  const naming: string[] = [];
  for (const snapshot of await observeSnapshots(deps, uuid)) {
    const hits = await Promise.all(sourcesOf(snapshot).map((path) => isOneOf(files, path)));
    if (hits.includes(true)) naming.push(snapshot.name);
  }
  return naming;
}
