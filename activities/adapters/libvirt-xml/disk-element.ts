/** The `<disk>` element of a persistent XML, changed as little as a switch of its source needs. */
import { unexpected } from '../reply.ts';
import { allOf, createElement, onlyOf, readXml, writeXml, type XmlElement } from './xml.ts';

const wrong = (why: string) => unexpected('libvirt for the persistent XML', why);

/** The element of one target; the document must have it, and once. */
export function diskElement(domainXml: string, target: string): XmlElement {
  const devices = onlyOf(onlyOf(readXml(domainXml, 'domain'), 'domain'), 'devices');
  const disks = allOf(devices, 'disk').filter(
    (disk) => onlyOf(disk, 'target')?.attributes['dev'] === target,
  );
  const [disk] = disks;
  if (!disk) throw wrong(`it has no disk ${target}`);
  if (disks.length > 1) throw wrong(`it has several disks ${target}`);
  return disk;
}

/** What the element names as the active layer. */
export function diskSource(disk: XmlElement): { path: string; format: string } {
  const path = onlyOf(disk, 'source')?.attributes['file'];
  if (!path) throw wrong('its disk names no file');
  return { path, format: onlyOf(disk, 'driver')?.attributes['type'] ?? 'raw' };
}

/**
 * The element with another source. The format is written out, because an element without `<driver
 * type>` silently becomes raw, and an explicit `<backingStore>` is dropped, because it would beat
 * the header.
 * @returns null when the element is so already.
 */
export function switchDiskSource(disk: XmlElement, path: string, format: string): string | null {
  const source = onlyOf(disk, 'source');
  const driver = onlyOf(disk, 'driver')?.attributes ?? {};
  const isSwitched = source?.attributes['file'] === path && driver['type'] === format;
  if (isSwitched && !onlyOf(disk, 'backingStore')) return null;
  const replaced = ['driver', 'source', 'backingStore'];
  const kept = disk.children.filter((n) => typeof n === 'string' || !replaced.includes(n.name));
  return writeXml(
    createElement('disk', disk.attributes, [
      createElement('driver', { name: 'qemu', ...driver, type: format }),
      createElement('source', { ...source?.attributes, file: path }, source?.children),
      ...kept,
    ]),
  );
}
