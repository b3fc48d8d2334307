/** Which domains use files: the one walk over all domains, for merges and for images. */
import { hold } from '../../../workflows/operation/failures.ts';
import { sourcesNamed } from '../../adapters/libvirt-xml/domain-xml.ts';
import { UnreadableSave } from '../../adapters/virsh/domains.ts';
import { poolsNamedIn, type Pool } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import { firstIn, type Identities } from './volume-users.ts';

interface Question {
  /** The active ones. */
  pools: readonly Pool[];
  /** The disk whose own sources do not count. */
  owner: { uuid: string; disk: string } | null;
}

export interface DomainUse {
  uuid: string;
  name: string;
  /** The file, as it was found. */
  path: string;
}

/**
 * The uses of the files by the live, the persistent and the saved XML of each domain.
 * @throws Hold `unproven` where that cannot be told
 */
export async function* domainUses(
  deps: HostDeps,
  files: Identities,
  { pools: active, owner }: Question,
): AsyncGenerator<DomainUse> {
  const domains = await deps.libvirt.allDomainXml().catch(cannotTell);
  const documents = domains.map(({ xml }) => xml);
  const pools = await poolsNamedIn(documents, deps.libvirt, active);
  for (const { uuid, name, xml } of domains) {
    const named = sourcesNamed(xml, pools, uuid === owner?.uuid ? owner.disk : undefined);
    for (const source of new Set(named)) {
      const path = await firstIn(files, source);
      if (path !== null) yield { uuid, name, path };
    }
  }
}

function cannotTell(error: unknown): never {
  if (!(error instanceof UnreadableSave)) throw error;
  const { vm, words } = error;
  throw hold('unproven', {
    attempted: `reading which volumes the saved guest of VM ${vm} names`,
    now: `libvirt cannot tell (${words})`,
    next: `Drop it (\`virsh managedsave-remove ${vm}\`) or fix it, then repeat the request`,
  });
}
