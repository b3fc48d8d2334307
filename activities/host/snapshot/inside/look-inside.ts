/** The disks of a VM with what is inside of their images. */
import { failureDetails } from '../../../../workflows/operation/failures.ts';
import type { XmlDisk, XmlDomain } from '../../../adapters/libvirt-xml/domain-xml.ts';
import type { Snapshot } from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import type { InnerSnapshot } from '../../../adapters/qemu-img/qemu-img.ts';
import { LayerMissing } from '../../chain/header-chain.ts';
import { observeChain, observeDomain, type Chain } from '../../chain/observe-chain.ts';
import type { HostDeps } from '../../deps.ts';

type Domain = Awaited<ReturnType<typeof observeDomain>>;

export interface Inside extends Pick<Domain, 'live' | 'persistentDomain' | 'managedSave'> {
  vm: Domain['identity']['vm'];
  /** Those of files that can be read. */
  chains: Chain[];
  /** Disks that cannot be looked at, and why. */
  faults: string[];
}

export async function lookInside(
  deps: HostDeps,
  { vm, host }: { vm: string; host: string },
  vmUuid?: string,
): Promise<Inside> {
  const { identity, live, persistentDomain, managedSave } = await observeDomain(
    deps,
    { vm },
    vmUuid,
  );
  const { uuid } = identity.vm;
  const disks = disksOf({ live, persistentDomain }).filter(isFileBacked);
  const looks = await Promise.all(
    disks.map(({ target }) => look(deps, { vm, disk: target, host }, uuid)),
  );
  return {
    ...{ vm: identity.vm, live, persistentDomain, managedSave },
    chains: looks.filter((found) => typeof found !== 'string'),
    faults: looks.filter((found) => typeof found === 'string'),
  };
}

interface Domains {
  live: XmlDomain | null;
  persistentDomain: XmlDomain | null;
}

/** As the VM has them now; and those that its record alone has, which are there when it starts. */
const disksOf = (domains: Domains): XmlDisk[] =>
  domains.live
    ? [...domains.live.disks, ...recordAlone(domains)]
    : (domains.persistentDomain?.disks ?? []);

/** Of a VM that runs. */
export function recordAlone({ live, persistentDomain }: Domains): XmlDisk[] {
  if (!live) return [];
  const has = (target: string) => live.disks.some((disk) => disk.target === target);
  return persistentDomain?.disks.filter(({ target }) => !has(target)) ?? [];
}

/** Of all disks that the VM has, or will have when it starts: others are detached. */
export const targetsOf = (domains: Domains): string[] =>
  disksOf(domains).map(({ target }) => target);

const isFileBacked = ({ device, type, chain }: XmlDisk) =>
  device === 'disk' && (type === 'file' || type === 'volume') && chain.length > 0;

/** The chain of a disk, or why it cannot be read: the other disks are looked at all the same. */
function look(
  deps: HostDeps,
  ref: { vm: string; disk: string; host: string },
  uuid: string,
): Promise<Chain | string> {
  return observeChain(deps, ref, uuid).catch((error: unknown) => {
    const failure = failureDetails(error);
    const isLasting = failure?.type === 'Refused' || error instanceof LayerMissing;
    if (!isLasting) throw error;
    return `${ref.disk}: ${failure?.details.now ?? (error as Error).message}`;
  });
}

/** In which image of the chain. */
export interface Inner extends InnerSnapshot {
  path: string;
}

/** All that are inside of the images of a chain; base-most image first. */
export const innerOf = ({ headers }: Pick<Chain, 'headers'>): Inner[] =>
  [...headers].flatMap(([path, { internalSnapshots }]) =>
    internalSnapshots.map((snapshot) => ({ path, ...snapshot })),
  );

/** Disks of which libvirt's record of a snapshot says that it is inside of their images. */
export const disksInside = ({ disks }: Snapshot): string[] =>
  disks.flatMap(({ kind, name }) => (kind === 'internal' ? [name] : []));
