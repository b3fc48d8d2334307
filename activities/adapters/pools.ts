/** libvirt storage pools, as blockflow's storage domains. */
import { XMLParser } from 'fast-xml-parser';
import { z } from 'zod';
import { canonical } from './files.ts';
import type { Libvirt } from './virsh.ts';

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
});
const pool = z.object({
  pool: z.object({
    '@type': z.string(),
    name: z.string(),
    target: z.object({ path: z.string().optional() }).optional(),
  }),
});

/** File pools: volumes are files in one folder. Block pools come later through the same seam. */
export const filePoolTypes: readonly string[] = ['dir', 'fs', 'netfs'];

/** Folder of ours in a pool's folder: a pool lists what is in it nowhere. */
export const OWN_FOLDER = '.blockflow';

export interface Pool {
  name: string;
  type: string;
  /** Folder of the volumes with links resolved, null for pools without one. */
  folder: string | null;
}

/** The active pools. */
export async function observePools(libvirt: Libvirt): Promise<Pool[]> {
  const documents = await libvirt.poolXml();
  return Promise.all(
    documents.map(async (xml) => {
      const parsed = pool.parse(parser.parse(xml)).pool;
      const path = parsed.target?.path;
      return {
        name: parsed.name,
        type: parsed['@type'],
        folder: path === undefined ? null : await canonical(path),
      };
    }),
  );
}

/**
 * The pool whose folder holds `path` directly (a pool lists no subfolders), null when none does.
 */
export function poolOf(pools: readonly Pool[], canonicalPath: string): Pool | null {
  const folder = canonicalPath.slice(0, canonicalPath.lastIndexOf('/')) || '/';
  return pools.find((p) => p.folder === folder) ?? null;
}
