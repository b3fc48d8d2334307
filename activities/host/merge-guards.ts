/** What must hold before a merge may start. Each guard either returns or refuses with the reason and a next step. */
import { join } from 'node:path';
import { sourcesNamed } from '../adapters/domain-xml.ts';
import { canonical, listFolder } from '../adapters/files.ts';
import { filePoolTypes, poolOf } from '../adapters/pools.ts';
import { backingOf } from '../adapters/qcow2-header.ts';
import { hold, refused } from '../../workflows/failures.ts';
import type { LiveMergeInput, Volume } from '../../workflows/schemas.ts';
import type { HostDeps } from './deps.ts';
import type { Selection } from './merge-selection.ts';
import type { Chain } from './observe-chain.ts';

const attempt = (input: { vm: string; disk: string }) => `planning a merge of ${input.vm}/${input.disk}`;

export function assertWritable(input: LiveMergeInput, chain: Chain): void {
  if (chain.readOnly) {
    throw refused('read-only-disk', {
      attempted: attempt(input),
      now: `disk ${input.disk} is read-only for the VM`,
      next: 'Merge it through a VM that may write it',
    });
  }
  if (chain.transient) {
    throw refused('transient-disk', {
      attempted: attempt(input),
      now: `disk ${input.disk} is <transient/>: libvirt discards its overlay when the VM stops`,
      next: 'Nothing needs to be merged',
    });
  }
}

/** A Hold: the views differ, and choosing one of them could lose data (H1, H2, H3). */
export function assertAgreement(input: LiveMergeInput, chain: Chain): void {
  if (chain.disagreements.length === 0) return;
  throw hold('divergent-chain', {
    attempted: attempt(input),
    now: `the views of the chain differ, nothing was touched: ${chain.disagreements.join('; ')}`,
    next: `Compare with \`blockflow chain ${input.vm} ${input.disk}\` and mend the wrong view first`,
  });
}

/** Only volumes directly inside an active file pool may be changed (I16). */
export async function assertInPools(
  input: LiveMergeInput,
  chain: Chain,
  volumes: readonly Volume[],
): Promise<void> {
  for (const volume of volumes) {
    const path = await canonical(volume.path);
    const pool = poolOf(chain.pools, path);
    if (!pool) {
      const folder = path.slice(0, path.lastIndexOf('/')) || '/';
      throw refused('outside-pools', {
        attempted: attempt(input),
        now: `${volume.path} lies in no active storage pool of ${chain.host}`,
        next: `Make a pool of its folder: \`virsh pool-create-as NAME dir --target ${folder}\``,
      });
    }
    if (!filePoolTypes.includes(pool.type)) {
      throw refused('unsupported-pool', {
        attempted: attempt(input),
        now: `${volume.path} lies in pool ${pool.name} of type ${pool.type}`,
        next: `Pools of type ${filePoolTypes.join(', ')} are supported`,
      });
    }
  }
}

/** H8: deleting a volume deletes the internal snapshots inside it. */
export function assertNoInternalSnapshots(input: LiveMergeInput, selection: Selection): void {
  if (input.keepVolumes || input.keepOverlay) return;
  for (const volume of selection.committed) {
    if (volume.internalSnapshots.length === 0) continue;
    throw refused('internal-snapshots', {
      attempted: attempt(input),
      now: `${volume.path} holds internal snapshots that would be lost: ${
        volume.internalSnapshots.join(', ')
      }`,
      next: 'Delete them first, or merge with --keep-volumes',
    });
  }
}

/**
 * No volume that changes or goes may have a child outside this chain, nor another user.
 * @param touched volumes whose data changes or that are deleted
 * @param family volumes of the chain, before and after: they may refer to each other
 */
export async function assertUnshared(
  deps: HostDeps,
  request: { vm: string; disk: string },
  chain: Chain,
  touched: readonly Volume[],
  family: readonly Volume[],
): Promise<void> {
  const paths = new Set(await Promise.all(touched.map((v) => canonical(v.path))));
  const own = new Set(
    await Promise.all([...family, ...chain.volumes].map((v) => canonical(v.path))),
  );
  await assertNoOtherChild(request, chain, paths, own);
  await assertNoOtherUser(deps, request, chain, paths);
}

async function assertNoOtherChild(
  input: { vm: string; disk: string },
  chain: Chain,
  touched: ReadonlySet<string>,
  own: ReadonlySet<string>,
): Promise<void> {
  const folders = new Set(chain.pools.flatMap((pool) => pool.folder ?? []));
  for (const folder of folders) {
    for (const name of await listFolder(folder)) {
      const child = join(folder, name);
      if (own.has(child)) continue;
      const backing = await backingOf(child);
      if (backing === null || !touched.has(await canonical(backing))) continue;
      throw refused('shared-base', {
        attempted: attempt(input),
        now: `${backing} is also the backing file of ${child}, whose data a merge would change`,
        next: 'Merge only volumes above the one that both share (--base), or delete the other chain',
      });
    }
  }
}

async function assertNoOtherUser(
  deps: HostDeps,
  input: { vm: string; disk: string },
  chain: Chain,
  touched: ReadonlySet<string>,
): Promise<void> {
  for (const { uuid, name, xml } of await deps.libvirt.allDomainXml()) {
    const mine = uuid === chain.vm.uuid;
    const named = mine ? otherDisks(chain) : sourcesNamed(xml);
    for (const path of named) {
      if (!touched.has(await canonical(path))) continue;
      throw refused('volume-in-use', {
        attempted: attempt(input),
        now: `${path} is also used by ${mine ? `another disk of ${name}` : `VM ${name}`}`,
        next: `See \`virsh domblklist ${name}\`; detach it there first`,
      });
    }
  }
}

function otherDisks(chain: Chain): string[] {
  const disks = [...(chain.live?.disks ?? []), ...(chain.persistentDomain?.disks ?? [])];
  return disks
    .filter((disk) => disk.target !== chain.disk)
    .flatMap((disk) => disk.chain.map((volume) => volume.path));
}
