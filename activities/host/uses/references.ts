/**
 * Who refers to volumes: domains, libvirt's snapshots, other chains. The one search for merges,
 * moves and removals. Files are compared by identity, not by name.
 */
import type { VolumeUse } from '../../../workflows/chain/schemas.ts';
import { filesNamed } from '../../adapters/libvirt-xml/named-files.ts';
import { isFilePool, observePools, poolsNamedIn, type Pool } from '../../adapters/virsh/pools.ts';
import { shell } from '../../../workflows/operation/names.ts';
import { inLine } from '../../../workflows/operation/words.ts';
import type { HostDeps } from '../deps.ts';
import { domainUses } from './domain-uses.ts';
import { childrenOf, identitiesOf, isOneOf, type Identities } from './volume-users.ts';

interface File {
  path: string;
  identity: string;
}

interface Question {
  volumes: readonly File[];
  /** Those that the volumes had: what names one that no file has now would get it back. */
  names?: readonly string[];
  /** These may stand on each other; default the volumes. */
  family?: readonly File[];
  pools: readonly Pool[];
  /** The disk whose own references do not count: its record follows the operation. */
  owner: { uuid: string; disk: string } | null;
}

export interface References {
  uses: VolumeUse[];
  /** Where other chains were not looked for, and which saved guests cannot be read; why. */
  warnings: string[];
}

type Deps = Pick<HostDeps, 'libvirt'>;

/**
 * Everything found that refers to one of the volumes, from outside of the family; other chains
 * first.
 * @throws Hold `unproven` where that cannot be told
 */
export async function observeReferences(deps: Deps, question: Question): Promise<References> {
  const [{ uses, warnings }, snapshots] = await Promise.all([
    observeHolders(deps, question),
    snapshotReferences(deps, identitiesOf(question.volumes), question),
  ]);
  return { uses: [...uses, ...snapshots], warnings };
}

/**
 * What would read the volumes: other chains, and domains with their saved guests. Not libvirt's
 * snapshots, whose metadata names what is deleted until the operation lets it follow.
 * @throws Hold `unproven` where that cannot be told
 */
export async function observeHolders(deps: Deps, question: Question): Promise<References> {
  const { volumes, names = [], family = volumes, pools } = question;
  const files = new Set([...identitiesOf(volumes), ...names]);
  const active = new Set(pools.map(({ name }) => name));
  const all = await observePools(deps.libvirt, 'all');
  // The volumes of those that are not active may stand on others all the same.
  const asleep = all.filter(({ name }) => !active.has(name)).filter(isFilePool);
  const [{ children, notSearched }, domains] = await Promise.all([
    childrenOf(files, { pools, asleep, volumes: family }),
    domainUses(deps, files, { ...question, pools: all }),
  ]);
  const stand = children.map(({ child, path }) => ({
    kind: 'child' as const,
    path,
    by: inLine(child),
  }));
  const unmounted = asleep.filter(({ type }) => type !== 'dir');
  const places = unmounted.map(({ name }) => `pool ${name} (it is inactive)`);
  const warnings = [...notSearched, ...domains.notSearched, ...places].map(
    (where) => `other chains were not looked for in ${inLine(where)}`,
  );
  const named = domains.uses.map(({ uuid, name, path }) => {
    const by =
      uuid === question.owner?.uuid ? `another disk or setting of VM ${name}` : `VM ${name}`;
    return { kind: 'domain' as const, path, by };
  });
  return { uses: [...stand, ...named], warnings: [...warnings, ...domains.warnings] };
}

async function snapshotReferences(
  deps: Deps,
  files: Identities,
  { owner, pools: active }: Question,
): Promise<VolumeUse[]> {
  const vms = (await deps.libvirt.listSnapshotted()).filter(({ uuid }) => uuid !== owner?.uuid);
  const referencesOf = async ({ uuid, name }: (typeof vms)[number]) => {
    const references: VolumeUse[] = [];
    for (const { name: snapshot, xml } of await deps.libvirt.snapshotTexts(uuid)) {
      const pools = await poolsNamedIn([xml], deps.libvirt, active);
      const by = `snapshot ${inLine(snapshot)} of VM ${name}`;
      const drop = shell`virsh snapshot-delete ${name} --snapshotname ${snapshot} --metadata`;
      const namer = { by, release: `drop its record (${drop})` };
      for (const path of filesNamed(xml, 'domainsnapshot', { pools }).paths) {
        if (await isOneOf(files, path, namer)) references.push({ kind: 'snapshot', path, by });
      }
    }
    return references;
  };
  return (await Promise.all(vms.map(referencesOf))).flat();
}
