/**
 * No volume that a merge changes or deletes may have a child outside its chain, nor another user
 * (I2).
 */
import { join } from 'node:path';
import { refused } from '../../workflows/failures.ts';
import type { Volume } from '../../workflows/schemas.ts';
import { sourcesNamed } from '../adapters/domain-xml.ts';
import { listFolder, observeFile } from '../adapters/files.ts';
import { backingOf } from '../adapters/qcow2-header.ts';
import type { HostDeps } from './deps.ts';
import type { Chain } from './observe-chain.ts';

interface Request {
  vm: string;
  disk: string;
}

/** Files are compared by identity, so that links and hard links cannot hide one. */
type Identities = ReadonlySet<string>;
const identities = (volumes: readonly Volume[]): Identities =>
  new Set(volumes.map((volume) => volume.identity));
const isOneOf = async (files: Identities, path: string) => {
  const facts = await observeFile(path);
  return facts !== null && files.has(facts.identity);
};

/**
 * @param touched volumes whose data changes or that are deleted
 * @param family volumes of the chain before the merge: they may refer to each other
 * @throws Refused: shared-base, volume-in-use.
 */
export async function assertUnshared(
  deps: HostDeps,
  request: Request,
  chain: Chain,
  touched: readonly Volume[],
  family: readonly Volume[],
): Promise<void> {
  const own = identities([...family, ...chain.volumes, ...touched]);
  await assertNoOtherUser(deps, request, chain, identities(touched));
  await assertNoOtherChild(request, chain, identities(touched), own);
}

async function assertNoOtherChild(
  request: Request,
  chain: Chain,
  touched: Identities,
  own: Identities,
): Promise<void> {
  const folders = new Set(chain.pools.flatMap((pool) => pool.folder ?? []));
  for (const folder of folders) {
    for (const name of await listFolder(folder)) {
      const child = join(folder, name);
      const backing = await backingOf(child);
      if (backing === null || !(await isOneOf(touched, backing))) continue;
      if (await isOneOf(own, child)) continue;
      throw refused('shared-base', {
        attempted: attempt(request),
        now: `${backing} is also the backing file of ${child}, whose data a merge would change`,
        next: 'Merge only volumes above what both share (--base), or delete the other chain',
      });
    }
  }
}

async function assertNoOtherUser(
  deps: HostDeps,
  request: Request,
  chain: Chain,
  touched: Identities,
): Promise<void> {
  for (const { uuid, name, xml } of await deps.libvirt.allDomainXml()) {
    const mine = uuid === chain.vm.uuid;
    const named = mine ? otherDisks(chain) : sourcesNamed(xml);
    const path = await firstUse(named, touched);
    if (path === null) continue;
    throw refused('volume-in-use', {
      attempted: attempt(request),
      now: `${path} is also used by ${mine ? `another disk of ${name}` : `VM ${name}`}`,
      next: `See \`virsh domblklist ${name}\`; detach it there first`,
    });
  }
}

/**
 * The first file below one of `named` that is touched: a VM that is down names its active layer
 * only.
 */
async function firstUse(named: readonly string[], touched: Identities): Promise<string | null> {
  for (const source of named) {
    const seen = new Set<string>();
    for (let path: string | null = source; path && !seen.has(path); path = await backingOf(path)) {
      if (await isOneOf(touched, path)) return path;
      seen.add(path);
    }
  }
  return null;
}

function otherDisks(chain: Chain): string[] {
  const disks = [...(chain.live?.disks ?? []), ...(chain.persistentDomain?.disks ?? [])];
  return disks
    .filter((disk) => disk.target !== chain.disk)
    .flatMap((disk) => disk.chain.map((volume) => volume.path));
}

const attempt = ({ vm, disk }: Request) => `planning a merge of ${vm}/${disk}`;
