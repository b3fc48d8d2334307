/** libvirt storage pools, as blockflow's storage domains. */
import { dirname } from 'node:path';
import { z } from 'zod';
import { shell } from '../../../workflows/operation/names.ts';
import { canonical } from '../files/files.ts';
import { giveLane } from '../files/lanes.ts';
import { parseReply, unexpected } from '../reply.ts';
import type { Libvirt } from './domains.ts';
import { parseDomain } from '../libvirt-xml/domain-xml.ts';
import { parseSnapshot } from '../libvirt-xml/snapshot-xml.ts';
import { onlyOf, readXml, textOf } from '../libvirt-xml/xml.ts';

const pool = z.object({
  type: z.string().min(1),
  name: z.string().min(1),
  path: z.string().startsWith('/').optional(),
});

/** File pools: volumes are files in one folder. Block pools come later through the same seam. */
export const filePoolTypes: readonly string[] = ['dir', 'fs', 'netfs'];

export interface Pool {
  name: string;
  type: string;
  /** Folder of the volumes with links resolved, null for pools without one. */
  folder: string | null;
}

/** The active pools, or all that are defined. */
export async function observePools(
  libvirt: Libvirt,
  which: 'active' | 'all' = 'active',
): Promise<Pool[]> {
  const documents = await libvirt.poolXml(which);
  return Promise.all(documents.map(parsePool));
}

/**
 * The pools that these documents may name volumes of (`type='volume'`): one that is not active has
 * its folder all the same.
 */
export async function poolsNamedIn(
  documents: readonly string[],
  libvirt: Libvirt,
  active: readonly Pool[],
): Promise<readonly Pool[]> {
  if (!documents.some((xml) => /\stype=['"]volume['"]/.test(xml))) return active;
  return observePools(libvirt, 'all');
}

/** A domain of this libvirt, with the files of its pools' volumes. */
export const readDomain = async (libvirt: Libvirt, xml: string) =>
  parseDomain(xml, await poolsNamedIn([xml], libvirt, []));

/** The metadata of a snapshot, likewise. */
export const readSnapshot = async (libvirt: Libvirt, xml: string) =>
  parseSnapshot(xml, await poolsNamedIn([xml], libvirt, []));

/** One `<pool>` document. @throws Retry `unexpected-reply` for anything else. */
export async function parsePool(xml: string): Promise<Pool> {
  const element = onlyOf(readXml(xml, 'pool'), 'pool');
  const place = onlyOf(onlyOf(element, 'target'), 'path');
  const { type, name, path } = parseReply(pool, 'libvirt for a pool', {
    type: element?.attributes['type'],
    name: textOf(onlyOf(element, 'name')),
    path: place ? textOf(place) : undefined,
  });
  if (path !== undefined) return { name, type, folder: await folderAt(path) };
  // Without it the volumes in it would be looked for nowhere.
  if (filePoolTypes.includes(type)) throw unexpected('libvirt for a pool', `${name} has no path`);
  return { name, type, folder: null };
}

/** Of a pool whose storage is silent, what its folder was when it last answered. */
const seen = new Map<string, string>();
const ANSWER_WITHIN_MS = 2000;

/** A pool that hangs keeps no other one from being seen. */
async function folderAt(path: string): Promise<string> {
  const last = seen.get(path) ?? path;
  giveLane(last);
  const looking = canonical(path).catch(() => last);
  const timer = Promise.withResolvers<string>();
  const timeout = setTimeout(timer.resolve, ANSWER_WITHIN_MS, last);
  const folder = await Promise.race([looking, timer.promise]);
  clearTimeout(timeout);
  giveLane(folder);
  seen.set(path, folder);
  return folder;
}

export type FilePool = Pool & { folder: string };
export const isFilePool = (pool: Pool): pool is FilePool =>
  filePoolTypes.includes(pool.type) && pool.folder !== null;

/**
 * The pool whose folder holds `path` directly (a pool lists no subfolders), null when none does.
 */
export function poolOf(pools: readonly Pool[], canonicalPath: string): Pool | null {
  const folder = canonicalPath.slice(0, canonicalPath.lastIndexOf('/')) || '/';
  return pools.find((p) => p.folder === folder) ?? null;
}

/** What to do about a volume at `path` that no active pool holds. */
export const poolNeeded = (path: string) =>
  `Make the pool of its folder, or start it: ${shell`blockflow pool add ${dirname(path)}`}`;
