import { canonical } from '../../adapters/files/files.ts';
import type { XmlDisk } from '../../adapters/libvirt-xml/domain-xml.ts';

/**
 * The disk with every path of its chain resolved: an inner commit leaves resolved names where links
 * were before. The mirror keeps libvirt's own spelling.
 */
export async function resolveLinks(disk: XmlDisk): Promise<XmlDisk> {
  const resolved = disk.chain.map(async (v) => ({ ...v, path: await canonical(v.path) }));
  return { ...disk, chain: await Promise.all(resolved) };
}
