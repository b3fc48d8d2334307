/** Which domains use files: the one walk over all domains, for merges and for images. */
import { hold } from '../../../workflows/operation/failures.ts';
import { filesNamed } from '../../adapters/libvirt-xml/named-files.ts';
import { UnreadableSave } from '../../adapters/virsh/domains.ts';
import { poolsNamedIn, type Pool } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import type { LeaveOut } from './headers-below.ts';
import { firstIn, type Identities } from './volume-users.ts';

interface Question {
  /** The active ones. */
  pools: readonly Pool[];
  /** The disk whose own sources do not count. */
  owner: { uuid: string; disk: string } | null;
  leaveOut: LeaveOut;
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
  deps: Pick<HostDeps, 'libvirt'>,
  files: Identities,
  { pools: active, owner, leaveOut }: Question,
): AsyncGenerator<DomainUse> {
  const domains = await deps.libvirt.allDomainXml().catch(cannotTell);
  const documents = domains.map(({ xml }) => xml);
  const pools = await poolsNamedIn(documents, deps.libvirt, active);
  // Most domains name the same emulator, firmware and base images.
  const walk = { known: new Map<string, string | null>(), leaveOut };
  for (const { uuid, name, xml } of domains) {
    const { paths, unread } = filesNamed(xml, 'domain', {
      pools,
      ...(uuid === owner?.uuid ? { own: owner.disk } : {}),
    });
    for (const source of paths) {
      const path = await firstIn(files, source, walk);
      if (path === null) continue;
      if (unread !== null) throw unreadable(name, path, unread);
      yield { uuid, name, path };
    }
  }
}

/** Its text holds the name; what it means there cannot be told. */
const unreadable = (vm: string, path: string, why: string) =>
  hold('unproven', {
    attempted: `reading which files VM ${vm} uses`,
    now: `its XML names ${path}, and cannot be read (${why})`,
    next: `See \`virsh dumpxml ${vm}\`; detach the volume there, or report this as a bug`,
  });

function cannotTell(error: unknown): never {
  if (!(error instanceof UnreadableSave)) throw error;
  const { vm, words } = error;
  throw hold('unproven', {
    attempted: `reading which volumes the saved guest of VM ${vm} names`,
    now: `libvirt cannot tell (${words})`,
    next: `Drop it (\`virsh managedsave-remove ${vm}\`) or fix it, then repeat the request`,
  });
}
