/** The `<disk>` element of a persistent XML, changed as little as a switch of its source needs. */
import { buildOrdered, parseOrdered, type Ordered } from './ordered-xml.ts';
import { unexpected } from '../reply.ts';

const inside = (nodes: Ordered[], tag: string): Ordered[] =>
  (nodes.find((n) => tag in n)?.[tag] as Ordered[] | undefined) ?? [];

const wrong = (why: string) => unexpected('libvirt for the persistent XML', why);

/** The element of one target; the document must have it, and once. */
export function diskElement(domainXml: string, target: string): Ordered {
  const devices = inside(inside(parseOrdered(domainXml, 'domain'), 'domain'), 'devices');
  const disks = devices.filter(
    (n) => 'disk' in n && child(n, 'target')?.[':@']?.['@dev'] === target,
  );
  const [disk] = disks;
  if (!disk) throw wrong(`it has no disk ${target}`);
  if (disks.length > 1) throw wrong(`it has several disks ${target}`);
  return disk;
}

const child = (disk: Ordered, tag: string) => (disk['disk'] as Ordered[]).find((n) => tag in n);

/** What the element names as the active layer. */
export function diskSource(disk: Ordered): { path: string; format: string } {
  const path = child(disk, 'source')?.[':@']?.['@file'];
  if (!path) throw wrong('its disk names no file');
  return { path, format: child(disk, 'driver')?.[':@']?.['@type'] ?? 'raw' };
}

/**
 * The element with another source. The format is written out, because an element without `<driver
 * type>` silently becomes raw, and an explicit `<backingStore>` is dropped, because it would beat
 * the header.
 * @returns null when the element is so already.
 */
export function switchDiskSource(disk: Ordered, path: string, format: string): string | null {
  const source = child(disk, 'source')?.[':@'] ?? {};
  const driver = child(disk, 'driver')?.[':@'] ?? {};
  const isSwitched = source['@file'] === path && driver['@type'] === format;
  if (isSwitched && !child(disk, 'backingStore')) return null;
  const nodes = disk['disk'] as Ordered[];
  const replaced = ['driver', 'source', 'backingStore'];
  const kept = nodes.filter((n) => !replaced.some((tag) => tag in n));
  const changed: Ordered = {
    disk: [
      { driver: [], ':@': { '@name': 'qemu', ...driver, '@type': format } },
      { source: inside(nodes, 'source'), ':@': { ...source, '@file': path } },
      ...kept,
    ],
    ...(disk[':@'] ? { ':@': disk[':@'] } : {}),
  };
  return buildOrdered([changed]);
}
