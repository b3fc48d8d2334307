/**
 * No volume that a merge changes or deletes may have a child outside its chain, nor another user
 * (I2).
 */
import { codeOf, endOfUse } from '../../../workflows/chain/other-hosts.ts';
import type { Volume, VolumeUse } from '../../../workflows/chain/schemas.ts';
import type { HostDeps } from '../deps.ts';
import type { Chain } from '../chain/observe-chain.ts';
import { observeReferences } from './references.ts';

export interface Sharing {
  /** Null while no other user is found. */
  obstacle: { code: ReturnType<typeof codeOf>; now: string; next: string } | null;
  /** As of references. */
  warnings: string[];
}

/**
 * @param touched volumes whose data changes or that are deleted
 * @param family volumes of the chain before the merge: they may refer to each other
 * @throws Hold `unproven`.
 */
export async function observeSharing(
  deps: HostDeps,
  chain: Chain,
  touched: readonly Volume[],
  family: readonly Volume[],
): Promise<Sharing> {
  const { uses, warnings } = await observeReferences(deps, {
    volumes: touched,
    family: [...family, ...chain.volumes, ...touched],
    pools: chain.pools,
    owner: { uuid: chain.vm.uuid, disk: chain.disk },
  });
  const [use] = uses;
  const obstacle = use ? { code: codeOf(use), ...wordsOf(use) } : null;
  return { obstacle, warnings };
}

const wordsOf = ({ kind, path, by }: VolumeUse) =>
  kind === 'child'
    ? {
        now: `${path} is also the backing file of ${by}, whose data a merge would change`,
        next: 'Merge only volumes above what both share (--base), or delete the other chain',
      }
    : {
        now: `${path} is also used by ${by}`,
        next: `${endOfUse({ kind })}, then repeat the request`,
      };
