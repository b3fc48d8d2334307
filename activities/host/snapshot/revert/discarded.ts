/**
 * What a revert, or its undo, discards is out of sight at once and deleted later: nothing else may
 * need it.
 */
import { codeOf, endOfUse } from '../../../../workflows/chain/other-hosts.ts';
import { refused, type RefusalCode } from '../../../../workflows/operation/failures.ts';
import type { Volume } from '../../../../workflows/chain/schemas.ts';
import { canonical } from '../../../adapters/files/files.ts';
import { parseDomain } from '../../../adapters/libvirt-xml/domain-xml.ts';
import { domainOf, type Snapshot } from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import type { Chain } from '../../chain/observe-chain.ts';
import type { HostDeps } from '../../deps.ts';
import { observeSnapshots } from '../../snapshots/snapshots.ts';
import { observeReferences } from '../../uses/references.ts';
import { shell } from '../../../../workflows/operation/names.ts';

interface Need {
  code: RefusalCode;
  now: string;
  /** What ends it, without a dot. */
  next: string;
}

/**
 * @param undo whether a snapshot that is taken first would help: it makes an undo impossible
 * @returns where it could not be looked for, in words
 * @throws Refused: internal-snapshots, shared-base, disks-changed, volume-in-use; Hold `unproven`
 */
export async function assertDiscardable(
  deps: HostDeps,
  attempted: string,
  chain: Chain,
  undo: boolean,
): Promise<string[]> {
  const active = chain.volumes.at(-1) as Volume;
  const { vm, disk, pools } = chain;
  const { uses, warnings } = await observeReferences(deps, {
    ...{ volumes: [active], family: chain.volumes, pools },
    owner: { uuid: vm.uuid, disk },
  });
  const [use] = uses;
  const need =
    inside(chain, active) ??
    (await ofSnapshots(deps, chain, undo)) ??
    (use && { code: codeOf(use), now: `${use.by} needs ${active.path}`, next: endOfUse(use) });
  if (!need) return warnings;
  const cover =
    `Take a snapshot first (${shell`blockflow snapshot create ${vm.name}`}), so that only ` +
    'what is written after it is discarded';
  throw refused(need.code, {
    attempted,
    now: `${need.now}, and the layer of ${disk} would be discarded; nothing was done`,
    next: `${undo ? need.next : cover}, then repeat the request`,
  });
}

/** Those inside of the layer would be deleted with it. */
function inside({ vm, headers }: Chain, { path }: Volume): Need | null {
  const names = (headers.get(path)?.internalSnapshots ?? []).map(({ name }) => name);
  if (names.length === 0) return null;
  return {
    code: 'internal-snapshots',
    now: `${path} has ${names.join(', ')} inside`,
    next:
      'Delete them first if they are not needed ' +
      `(${shell`blockflow snapshot delete ${vm.name} ${names[0] ?? ''}`})`,
  };
}

/**
 * By the VM's own snapshots: a person may have put the record back on a layer that one goes back
 * to, or on an image that none of them has anything to do with.
 */
async function ofSnapshots(deps: HostDeps, chain: Chain, undo: boolean): Promise<Need | null> {
  const { path } = chain.volumes.at(-1) as Volume;
  const bases = new Map<string, string>();
  for (const snapshot of await observeSnapshots(deps, chain.vm.uuid)) {
    const layer = layerOf(snapshot, chain.disk);
    if (layer !== null) bases.set(await canonical(layer), snapshot.name);
  }
  const restored = bases.get(path);
  if (restored !== undefined) {
    return {
      code: 'shared-base',
      now: `snapshot ${restored} goes back to ${path}`,
      next: 'If that snapshot is not needed, forget it (`virsh snapshot-delete --metadata`)',
    };
  }
  // What an undo leaves is known by inode.
  if (undo || chain.volumes.some((volume) => bases.has(volume.path))) return null;
  return {
    code: 'disks-changed',
    now: `${chain.disk} has another image than at any snapshot, ${path}`,
    next: 'Put back the disk that it had',
  };
}

/** What the disk goes back to with it; null where it has no part in it. */
export function layerOf(snapshot: Snapshot, disk: string): string | null {
  const isPart = snapshot.disks.some(({ name, kind }) => name === disk && kind === 'external');
  const xml = isPart ? domainOf(snapshot) : null;
  if (xml === null) return null;
  const then = parseDomain(xml, snapshot.pools).disks.find(({ target }) => target === disk);
  return then?.chain.at(-1)?.path ?? null;
}
