/**
 * No volume that a merge changes or deletes may have a child outside its chain, nor another user
 * (I2).
 */
import { refused } from '../../../workflows/operation/failures.ts';
import type { Volume } from '../../../workflows/chain/schemas.ts';
import type { HostDeps } from '../deps.ts';
import type { Chain } from '../chain/observe-chain.ts';
import { childrenOf, identitiesOf, type Identities } from './volume-users.ts';
import { domainUses } from './domain-uses.ts';

interface Request {
  vm: string;
  disk: string;
}

/**
 * @param touched volumes whose data changes or that are deleted
 * @param family volumes of the chain before the merge: they may refer to each other
 * @throws Refused: shared-base, volume-in-use. Hold `unproven`.
 */
export async function assertUnshared(
  deps: HostDeps,
  request: Request,
  chain: Chain,
  touched: readonly Volume[],
  family: readonly Volume[],
): Promise<void> {
  const volumes = [...family, ...chain.volumes, ...touched];
  const files = identitiesOf(touched);
  const [[other]] = await Promise.all([
    childrenOf(files, { pools: chain.pools, volumes }),
    assertNoOtherUser(deps, request, chain, files),
  ]);
  if (!other) return;
  throw refused('shared-base', {
    attempted: attempt(request),
    now:
      `${other.path} is also the backing file of ${other.child}, ` +
      'whose data a merge would change',
    next: 'Merge only volumes above what both share (--base), or delete the other chain',
  });
}

async function assertNoOtherUser(
  deps: HostDeps,
  request: Request,
  chain: Chain,
  touched: Identities,
): Promise<void> {
  const { uuid } = chain.vm;
  const question = { pools: chain.pools, owner: { uuid, disk: chain.disk } };
  for await (const use of domainUses(deps, touched, question)) {
    const { name, path } = use;
    const user = use.uuid === uuid ? `another disk of ${name}` : `VM ${name}`;
    throw refused('volume-in-use', {
      attempted: attempt(request),
      now: `${path} is also used by ${user}`,
      next: `See \`virsh domblklist ${name}\`; detach it there first`,
    });
  }
}

const attempt = ({ vm, disk }: Request) => `planning a merge of ${vm}/${disk}`;
