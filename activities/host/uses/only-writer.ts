/**
 * What becomes the base of an overlay must not change any more. A VM that merely stands on it is
 * right, so this is not the search of merges, which finds every user.
 */
import { refused } from '../../../workflows/operation/failures.ts';
import { filesNamed } from '../../adapters/libvirt-xml/named-files.ts';
import { observePools, readDomain } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import { unreadable } from './domain-uses.ts';
import { identitiesOf, isOneOf } from './volume-users.ts';
import { shell } from '../../../workflows/operation/names.ts';

interface Question {
  attempted: string;
  volumes: readonly { identity: string }[];
  /** The disks that leave these volumes to their overlays. */
  owner: { uuid: string; disks: readonly string[] };
}

/**
 * Looks at the domains of this host, whether or not they run. Other hosts are not asked.
 * @throws Refused `volume-in-use` where a disk beside those of the owner writes to one of the
 * volumes when its VM runs; Hold `unproven` where that cannot be told
 */
export async function assertOnlyWriter(deps: HostDeps, question: Question): Promise<void> {
  const { attempted, volumes, owner } = question;
  const domains = await domainsWithFiles(deps);
  const isBase = await basesAmong(
    domains.flatMap(({ paths }) => paths),
    volumes,
  );
  for (const { uuid, name, xml, paths, unread } of domains) {
    const [named] = paths.filter(isBase);
    if (named === undefined) continue;
    if (unread !== null) throw unreadable(name, named, unread);
    const { disks } = await readDomain(deps.libvirt, xml);
    for (const { target, chain, readOnly, transient } of disks) {
      const path = chain.at(-1)?.path;
      if (path === undefined || !isBase(path) || readOnly || transient) continue;
      if (uuid === owner.uuid && owner.disks.includes(target)) continue;
      throw refused('volume-in-use', {
        attempted,
        now:
          `VM ${name} has ${path} as its disk ${target}, too: what it writes would change the ` +
          'snapshot, and the data of what stands on it; nothing was done',
        next: `Detach it there (${shell`virsh dumpxml ${uuid}`} shows it), then repeat the request`,
      });
    }
  }
}

interface DomainFiles {
  uuid: string;
  name: string;
  xml: string;
  paths: string[];
  /** As of `filesNamed`. */
  unread: string | null;
}

async function domainsWithFiles({ libvirt }: HostDeps): Promise<DomainFiles[]> {
  const pools = await observePools(libvirt, 'all');
  const domains = await libvirt.allDomainXml();
  return domains.flatMap(({ uuid, name, xml, unread: lost }) => {
    // A saved guest that libvirt cannot read does not start, either.
    if (xml === null || lost !== null) return [];
    const { paths, unread } = filesNamed(xml, 'domain', { pools });
    return [{ uuid, name, xml, paths: [...paths], unread }];
  });
}

/** The volumes have just been read: what cannot be is another file, on a storage that is ill. */
async function basesAmong(paths: readonly string[], volumes: Question['volumes']) {
  const files = identitiesOf(volumes);
  const asked = [...new Set(paths)].map(async (path) => {
    const found = await isOneOf(files, path).catch(() => false);
    return found ? [path] : [];
  });
  const bases = new Set((await Promise.all(asked)).flat());
  return (path: string) => bases.has(path);
}
