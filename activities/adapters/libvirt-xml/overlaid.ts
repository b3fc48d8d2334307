/**
 * A domain whose disks have one more layer, or one less; and the document of the snapshot between.
 */
import { unexpected } from '../reply.ts';
import { chainOf, diskIn, fileOf, layersOf, policyOf, saysMore } from './disk-element.ts';
import type { PoolFolders } from './named-files.ts';
import { allOf, createElement, onlyOf, readXml, writeXml, type XmlElement } from './xml.ts';

/** One disk of a snapshot. */
export interface Layered {
  disk: string;
  base: { path: string; format: string };
  overlay: string;
}

const wrong = (why: string) => unexpected('libvirt for a domain', why);

/** The domain with the overlays as active layers; one that has them already is unchanged. */
export function withOverlays(
  domainXml: string,
  disks: readonly Layered[],
  pools: PoolFolders,
): string {
  const document = readXml(domainXml, 'domain');
  for (const { disk, overlay } of disks) {
    const element = diskIn(document, disk);
    if (fileOf(element, pools) !== overlay) putOverlay(element, overlay);
  }
  return writeXml(document);
}

export interface ActiveLayer {
  disk: string;
  path: string;
  format: string;
}

/**
 * The domain with other active layers, whose headers tell what is below. None of the layers before
 * may say more than a header can.
 */
export function withActiveLayers(
  domainXml: string,
  disks: readonly ActiveLayer[],
  pools: PoolFolders,
): string {
  const document = readXml(domainXml, 'domain');
  for (const { disk, path, format } of disks) {
    const element = diskIn(document, disk);
    if (layersOf(element).some(saysMore)) throw wrong(`a layer of ${disk} has more than a name`);
    if (fileOf(element, pools) !== path) putActive(element, { path, format }, []);
  }
  return writeXml(document);
}

function putOverlay(element: XmlElement, overlay: string): void {
  const layers = layersOf(element);
  const driver = onlyOf(element, 'driver');
  // What a layer says besides its name stays with it, in an explicit chain; else headers tell it.
  const chain = layers.some(saysMore)
    ? chainOf(
        [asBackingStore(element, driver), ...layers.slice(1)].map((layer) => ({
          element: layer,
          file: null,
        })),
      )
    : [];
  putActive(element, { path: overlay, format: 'qcow2' }, chain);
}

function putActive(
  element: XmlElement,
  { path, format }: Omit<ActiveLayer, 'disk'>,
  chain: readonly XmlElement[],
): void {
  const source = createElement('source', { file: path, ...policyOf(element) });
  rebuild(element, { type: 'file', format, layers: [source, ...chain] });
}

interface Rebuilt {
  /** Of the active layer's source. */
  type: string;
  format: string;
  /** That source, and what is below it. */
  layers: readonly XmlElement[];
}

/** Other layers; all that is not theirs stays. */
function rebuild(element: XmlElement, { type, format, layers }: Rebuilt): void {
  const driver = onlyOf(element, 'driver');
  const replaced = ['driver', 'source', 'backingStore'];
  const kept = element.children.filter(
    (child) => typeof child === 'string' || !replaced.includes(child.name),
  );
  const attributes = { name: 'qemu', ...driver?.attributes, type: format };
  element.attributes = { ...element.attributes, type };
  element.children = [createElement('driver', attributes, driver?.children), ...layers, ...kept];
}

/** The active layer as a lower one is written. */
function asBackingStore(disk: XmlElement, driver: XmlElement | null): XmlElement {
  const format = createElement('format', { type: driver?.attributes['type'] ?? 'raw' });
  const source = onlyOf(disk, 'source');
  const { type = 'file' } = disk.attributes;
  return createElement('backingStore', { type }, [format, ...(source ? [source] : [])]);
}

/** The domain with the bases as active layers again. */
export function withoutOverlays(domainXml: string, disks: readonly Layered[], pools: PoolFolders) {
  const document = readXml(domainXml, 'domain');
  for (const { disk, base, overlay } of disks) {
    const element = diskIn(document, disk);
    if (fileOf(element, pools) === overlay) takeOverlay(element, base);
  }
  return document;
}

function takeOverlay(element: XmlElement, base: Layered['base']): void {
  const below = onlyOf(element, 'backingStore');
  const lower = onlyOf(below, 'source');
  const { index, ...attributes } = lower?.attributes ?? { file: base.path };
  const source = createElement('source', { ...attributes, ...policyOf(element) }, lower?.children);
  rebuild(element, {
    type: below?.attributes['type'] ?? 'file',
    format: base.format,
    layers: [source, ...allOf(below, 'backingStore')],
  });
}

export interface SnapshotFacts {
  name: string;
  description: string;
  /** Seconds since 1970. */
  createdAt: number;
  wasRunning: boolean;
  disks: readonly Layered[];
  /** Targets of disks that have it inside of their images. */
  inside?: readonly string[];
}

/**
 * The document with which `snapshot-create` takes the snapshot, all disks mentioned.
 * @param left targets of disks that are not part of it
 */
export const buildSnapshot = (facts: SnapshotFacts, left: readonly string[]): string =>
  writeXml(
    createElement('domainsnapshot', {}, [named('name', facts.name), disksElement(facts, left)]),
  );

/**
 * The document with which libvirt lists it afterwards: it refuses a disk that the domain does not
 * have, and makes one up for a disk that is not mentioned.
 * @param domain as it was before it
 */
export function buildSnapshotRecord(
  facts: SnapshotFacts,
  parent: string | null,
  domain: XmlElement,
): string {
  const { name, description, createdAt, wasRunning, disks, inside = [] } = facts;
  const root = onlyOf(domain, 'domain');
  const parts = [...inside, ...disks.map(({ disk }) => disk)];
  const left = allOf(onlyOf(root, 'devices'), 'disk')
    .map((disk) => onlyOf(disk, 'target')?.attributes['dev'] ?? '')
    .filter((target) => !parts.includes(target));
  return writeXml(
    createElement('domainsnapshot', {}, [
      named('name', name),
      ...(description === '' ? [] : [named('description', description)]),
      named('state', wasRunning ? 'disk-snapshot' : 'shutoff'),
      ...(parent === null ? [] : [createElement('parent', {}, [named('name', parent)])]),
      named('creationTime', String(createdAt)),
      createElement('memory', { snapshot: 'no' }),
      disksElement(facts, left),
      ...(root ? [root] : []),
    ]),
  );
}

const named = (name: string, text: string) => createElement(name, {}, [text]);

const disksElement = ({ disks, inside = [] }: SnapshotFacts, left: readonly string[]) =>
  createElement('disks', {}, [
    ...inside.map((name) => createElement('disk', { name, snapshot: 'internal' })),
    ...disks.map(({ disk, overlay }) =>
      createElement('disk', { name: disk, snapshot: 'external', type: 'file' }, [
        createElement('driver', { type: 'qcow2' }),
        createElement('source', { file: overlay }),
      ]),
    ),
    ...left.map((name) => createElement('disk', { name, snapshot: 'no' })),
  ]);
