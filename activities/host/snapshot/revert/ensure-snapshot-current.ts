/**
 * The snapshot that libvirt's tree grows from: the parent of the next one. The records of it and of
 * those that it stands on name the layers of the disks as they are now, so that their deletion
 * merges these, and not those that the VM has left.
 */
import type { InputOf } from '../../../../workflows/operation/activities.ts';
import type { revertOnHost } from '../../../../workflows/snapshot/revert/activities.ts';
import { canonical } from '../../../adapters/files/files.ts';
import { parseDomain } from '../../../adapters/libvirt-xml/domain-xml.ts';
import {
  domainOf,
  factsOf,
  nameOverlays,
  type Snapshot,
} from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import { syncRecords } from '../../../adapters/virsh/libvirt-folders.ts';
import type { Chain } from '../../chain/observe-chain.ts';
import type { HostDeps } from '../../deps.ts';
import { inTurn } from '../../snapshots/in-turn.ts';
import { observeSnapshots } from '../../snapshots/snapshots.ts';
import { lookInside } from '../inside/look-inside.ts';

type Input = InputOf<typeof revertOnHost, 'ensureSnapshotCurrent'>;

/** One that was deleted meanwhile cannot be it. */
export async function ensureSnapshotCurrent(deps: HostDeps, input: Input): Promise<void> {
  const { vm, vmUuid, name } = input;
  await inTurn(vmUuid, async () => {
    const all = await observeSnapshots(deps, vmUuid);
    const { chains } = await lookInside(deps, { vm, host: deps.host }, vmUuid);
    for (const snapshot of lineOf(all, name)) {
      const overlays = await overlaysOf(snapshot, chains);
      const isCurrent = async () => (await deps.libvirt.currentSnapshot(vmUuid)) === name;
      if (overlays.size === 0 && (snapshot.name !== name || (await isCurrent()))) continue;
      // Each becomes the current one, too; the last of them is the one that is to be.
      await deps.effect('libvirt.set-current-snapshot', `${vm} ${snapshot.name}`, () =>
        deps.libvirt.listSnapshot(vmUuid, nameOverlays(snapshot, overlays)),
      );
    }
  });
  await syncRecords({ name: vm, uuid: vmUuid });
}

/** A snapshot below those that it was taken on, the first of all first; empty without it. */
function lineOf(all: readonly Snapshot[], name: string): Snapshot[] {
  const own = all.find((snapshot) => snapshot.name === name);
  if (!own) return [];
  const { parent } = factsOf(own);
  return [...(parent === null ? [] : lineOf(all, parent)), own];
}

/** Layers right above those of the snapshot, by disk, where its record names others. */
async function overlaysOf(
  snapshot: Snapshot,
  chains: readonly Chain[],
): Promise<Map<string, string>> {
  const document = domainOf(snapshot);
  const then = document === null ? [] : parseDomain(document, snapshot.pools).disks;
  const found = new Map<string, string>();
  for (const { name: disk, kind, source } of snapshot.disks) {
    const layer = then.find(({ target }) => target === disk)?.chain.at(-1)?.path;
    const volumes = chains.find((chain) => chain.disk === disk)?.volumes;
    if (kind !== 'external' || source === null || layer === undefined || !volumes) continue;
    const [own, recorded] = await Promise.all([canonical(layer), canonical(source)]);
    const at = volumes.findIndex(({ path }) => path === own);
    const above = at < 0 ? undefined : volumes[at + 1];
    if (above && above.path !== recorded) found.set(disk, above.path);
  }
  return found;
}
