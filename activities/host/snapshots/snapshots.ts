/** What libvirt's snapshots of a VM say of its files; each reading is of the whole list. */
import { canonical } from '../../adapters/files/files.ts';
import { type Snapshot, sourcesOf } from '../../adapters/libvirt-xml/snapshot-xml.ts';
import { readSnapshot } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import { type Identities, isOneOf } from '../uses/volume-users.ts';

/** All of a VM, parents first. */
export async function observeSnapshots({ libvirt }: HostDeps, uuid: string): Promise<Snapshot[]> {
  const texts = await libvirt.snapshotTexts(uuid);
  return Promise.all(texts.map(({ xml }) => readSnapshot(libvirt, xml)));
}

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
