/**
 * Who refers to the files of an image: domains, libvirt's snapshots, other chains. Compared by
 * identity, not by name.
 */
import type { VolumeUse } from '../../../workflows/chain/schemas.ts';
import { snapshotSources } from '../../adapters/libvirt-xml/domain-xml.ts';
import { poolsNamedIn, type Pool } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import { domainUses } from './domain-uses.ts';
import { childrenOf, identitiesOf, isOneOf, type Identities } from './volume-users.ts';

interface Question {
  volumes: readonly { path: string; identity: string }[];
  pools: readonly Pool[];
  /** The disk whose own references do not count: its record follows the operation. */
  owner: { uuid: string; disk: string } | null;
}

/**
 * Everything found that refers to one of the volumes, from outside of the image.
 * @throws Hold `unproven` where that cannot be told
 */
export async function observeReferences(deps: HostDeps, question: Question): Promise<VolumeUse[]> {
  const { volumes, pools } = question;
  const files = identitiesOf(volumes);
  const [domains, snapshots, children] = await Promise.all([
    domainReferences(deps, files, question),
    snapshotReferences(deps, files, question),
    childrenOf(files, { pools, volumes }),
  ]);
  const stand = children.map(({ child, path }) => ({ kind: 'child' as const, path, by: child }));
  return [...domains, ...snapshots, ...stand];
}

async function domainReferences(
  deps: HostDeps,
  files: Identities,
  question: Question,
): Promise<VolumeUse[]> {
  const references: VolumeUse[] = [];
  for await (const { name, path } of domainUses(deps, files, question)) {
    references.push({ kind: 'domain', path, by: `VM ${name}` });
  }
  return references;
}

async function snapshotReferences(
  deps: HostDeps,
  files: Identities,
  { owner, pools: active }: Question,
): Promise<VolumeUse[]> {
  const references: VolumeUse[] = [];
  for (const { uuid, name } of await deps.libvirt.listVms()) {
    if (uuid === owner?.uuid) continue;
    for (const snapshot of await deps.libvirt.snapshotNames(uuid)) {
      const xml = await deps.libvirt.snapshotXml(uuid, snapshot);
      const pools = await poolsNamedIn([xml], deps.libvirt, active);
      for (const path of new Set(snapshotSources(xml, pools))) {
        const by = `snapshot ${snapshot} of VM ${name}`;
        if (await isOneOf(files, path)) references.push({ kind: 'snapshot', path, by });
      }
    }
  }
  return references;
}
