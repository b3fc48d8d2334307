/** Which domains use files: the one walk over all domains, for merges and for images. */
import { hold } from '../../../workflows/operation/failures.ts';
import { inLine } from '../../../workflows/operation/words.ts';
import { filesNamed, pathsInText } from '../../adapters/libvirt-xml/named-files.ts';
import type { DomainXml } from '../../adapters/virsh/domains.ts';
import type { Pool } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import { firstIn, type Identities } from './volume-users.ts';
import { shell } from '../../../workflows/operation/names.ts';

interface Question {
  /** All that are defined: a domain may name a volume of one that is not active. */
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

interface DomainUses {
  uses: DomainUse[];
  /** Saved guests that cannot be read, and name none of the files. */
  warnings: string[];
  /** Devices that cannot be read, each with the reason. */
  notSearched: string[];
}

/**
 * The uses of the files by the live, the persistent and the saved XML of each domain.
 * @throws Hold `unproven` where that cannot be told
 */
export async function domainUses(
  deps: Pick<HostDeps, 'libvirt'>,
  files: Identities,
  { pools, owner }: Question,
): Promise<DomainUses> {
  const domains = await deps.libvirt.allDomainXml();
  const [uses, warnings]: [DomainUse[], string[]] = [[], []];
  const notSearched = new Set<string>();
  // Most domains name the same emulator, firmware and base images.
  const known = new Map<string, string | null>();
  const leaveOut = (where: string) => void notSearched.add(where);
  const folders = pools.flatMap(({ folder }) => folder ?? []);
  for (const { uuid, name, xml, unread: lost } of domains) {
    const release = `detach it from VM ${name} (${shell`virsh dumpxml ${name}`} shows it)`;
    const walk = { known, leaveOut, namer: { by: `VM ${name}`, release }, mayStand: () => true };
    if (xml === null) throw unreadableSave(name, lost);
    if (lost !== null) {
      const paths = pathsInText(xml, pools);
      const named = await Promise.all(paths.map((path) => firstIn(files, path, walk)));
      if (named.some((path) => path !== null)) throw unreadableSave(name, lost);
      warnings.push(`the saved guest of VM ${name} cannot be read (${inLine(lost)})`);
      continue;
    }
    const { paths, unread, open } = filesNamed(xml, 'domain', {
      pools,
      ...(uuid === owner?.uuid ? { own: owner.disk } : {}),
    });
    // Of what is in a pool, active or not, its folder is searched: that decides.
    const inPool = (path: string) => folders.some((folder) => path.startsWith(`${folder}/`));
    const isTold = (path: string) =>
      domains.some((one) => one.uuid === uuid && toldIn(one, pools).has(path));
    const mayStand = (path: string) =>
      (open.has(path) || !paths.has(path)) && !inPool(path) && !isTold(path);
    for (const source of paths) {
      const path = await firstIn(files, source, { ...walk, mayStand });
      if (path === null) continue;
      if (unread !== null) throw unreadable(name, path, unread);
      uses.push({ uuid, name, path });
    }
  }
  return { uses, warnings, notSearched: [...notSearched] };
}

/** A VM that runs tells what its layers stand on; its record does not. */
const toldIn = ({ xml, unread }: DomainXml, pools: readonly Pool[]): ReadonlySet<string> =>
  xml === null || unread !== null ? new Set() : filesNamed(xml, 'domain', { pools }).told;

/** Its text holds the name; what it means there cannot be told. */
export const unreadable = (vm: string, path: string, why: string) =>
  hold('unproven', {
    attempted: `reading which files VM ${vm} uses`,
    now: `its XML names ${path}, and cannot be read (${why})`,
    next: `See ${shell`virsh dumpxml ${vm}`}; detach the volume there, or report this as a bug`,
  });

const unreadableSave = (vm: string, why: string | null) =>
  hold('unproven', {
    attempted: `reading which volumes the saved guest of VM ${vm} names`,
    now: `libvirt cannot tell (${why}), and it may be one of these`,
    next: `Drop it (${shell`virsh managedsave-remove ${vm}`}) or fix it, then repeat the request`,
  });
