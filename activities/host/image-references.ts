/**
 * Who refers to the files of an image: domains, libvirt's snapshots, other chains. Compared by
 * identity, not by name.
 */
import { join } from 'node:path';
import type { VolumeUse } from '../../workflows/move-contract.ts';
import { parseDomain, sourcesNamed } from '../adapters/domain-xml.ts';
import { listFolder, observeFile } from '../adapters/files.ts';
import type { Pool } from '../adapters/pools.ts';
import { backingOf } from '../adapters/qcow2-header.ts';
import { parseSnapshot, sourcesOf } from '../adapters/snapshot-xml.ts';
import type { HostDeps } from './deps.ts';

interface Question {
  /** `device:inode` of the volumes. */
  files: ReadonlySet<string>;
  pools: readonly Pool[];
  /** The disk whose own references do not count: its record follows the operation. */
  owner: { uuid: string; disk: string } | null;
}

/** Everything found that refers to one of the files, from outside of the image. */
export async function observeReferences(deps: HostDeps, question: Question): Promise<VolumeUse[]> {
  const found = await Promise.all([
    domainReferences(deps, question),
    snapshotReferences(deps, question),
    childReferences(question),
  ]);
  return found.flat();
}

async function domainReferences(deps: HostDeps, { files, owner }: Question): Promise<VolumeUse[]> {
  const references: VolumeUse[] = [];
  for (const { uuid, name, xml } of await deps.libvirt.allDomainXml()) {
    const named = uuid === owner?.uuid ? otherDisks(xml, owner.disk) : sourcesNamed(xml);
    for (const source of new Set(named)) {
      const path = await firstIn(files, source);
      if (path !== null) references.push({ kind: 'domain', path, by: `VM ${name}` });
    }
  }
  return references;
}

const otherDisks = (xml: string, own: string) =>
  parseDomain(xml)
    .disks.filter((disk) => disk.target !== own)
    .flatMap((disk) => disk.chain.map((volume) => volume.path));

/**
 * The first file at or below `source` that is asked for: a VM that is down names its active layer
 * only.
 */
async function firstIn(files: ReadonlySet<string>, source: string): Promise<string | null> {
  const seen = new Set<string>();
  for (let path: string | null = source; path && !seen.has(path); path = await backingOf(path)) {
    if (await isOneOf(files, path)) return path;
    seen.add(path);
  }
  return null;
}

async function isOneOf(files: ReadonlySet<string>, path: string): Promise<boolean> {
  const facts = await observeFile(path).catch(() => null);
  return facts !== null && files.has(facts.identity);
}

async function snapshotReferences(
  deps: HostDeps,
  { files, owner }: Question,
): Promise<VolumeUse[]> {
  const references: VolumeUse[] = [];
  for (const { uuid, name } of await deps.libvirt.listVms()) {
    if (uuid === owner?.uuid) continue;
    for (const snapshot of await deps.libvirt.snapshotNames(uuid)) {
      const document = parseSnapshot(await deps.libvirt.snapshotXml(uuid, snapshot));
      for (const path of new Set(sourcesOf(document))) {
        const by = `snapshot ${snapshot} of VM ${name}`;
        if (await isOneOf(files, path)) references.push({ kind: 'snapshot', path, by });
      }
    }
  }
  return references;
}

/** Other chains on these volumes, by the headers of every file in the pools. */
async function childReferences({ files, pools }: Question): Promise<VolumeUse[]> {
  const references: VolumeUse[] = [];
  for (const folder of new Set(pools.flatMap((pool) => pool.folder ?? []))) {
    for (const name of await listFolder(folder)) {
      const child = join(folder, name);
      const path = await backingOf(child);
      if (path === null || !(await isOneOf(files, path))) continue;
      if (!(await isOneOf(files, child))) references.push({ kind: 'child', path, by: child });
    }
  }
  return references;
}

/** The snapshots of one VM that name any of the files, parents first. */
export async function snapshotsNaming(
  deps: HostDeps,
  uuid: string,
  files: ReadonlySet<string>,
): Promise<string[]> {
  const naming: string[] = [];
  for (const name of await deps.libvirt.snapshotNames(uuid)) {
    const document = parseSnapshot(await deps.libvirt.snapshotXml(uuid, name));
    const hits = await Promise.all(sourcesOf(document).map((path) => isOneOf(files, path)));
    if (hits.includes(true)) naming.push(name);
  }
  return naming;
}
