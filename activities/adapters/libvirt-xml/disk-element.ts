/**
 * The `<disk>` element of a persistent XML, changed as little as a switch of its source needs. A
 * layer is more than a file and a format: it may have a secret, labels, a cache; they stay with the
 * layer that they belong to.
 */
import { canonical } from '../files/files.ts';
import { unexpected } from '../reply.ts';
import { sourceFile, type PoolFolders } from './named-files.ts';
import { allOf, createElement, onlyOf, readXml, writeXml, type XmlElement } from './xml.ts';

const wrong = (why: string) => unexpected('libvirt for the persistent XML', why);

/** The element of one target; the document must have it, and once. */
export const diskElement = (domainXml: string, target: string): XmlElement =>
  diskIn(readXml(domainXml, 'domain'), target);

/** The same in a document that is to be changed. */
export function diskIn(document: XmlElement, target: string): XmlElement {
  const devices = onlyOf(onlyOf(document, 'domain'), 'devices');
  const disks = allOf(devices, 'disk').filter(
    (disk) => onlyOf(disk, 'target')?.attributes['dev'] === target,
  );
  const [disk] = disks;
  if (!disk) throw wrong(`it has no disk ${target}`);
  if (disks.length > 1) throw wrong(`it has several disks ${target}`);
  return withOwnSecret(disk);
}

/**
 * The disk with its secret within the source: libvirt takes it beside the source, too, although it
 * belongs to that one layer.
 */
export function withOwnSecret(disk: XmlElement): XmlElement {
  const source = onlyOf(disk, 'source');
  const secret = onlyOf(disk, 'encryption');
  if (!source || !secret) return disk;
  disk.children = disk.children.filter((child) => child !== secret);
  source.children = [...source.children, secret];
  return disk;
}

/** What the element names as the active layer. */
export function diskSource(
  disk: XmlElement,
  pools: PoolFolders = [],
): { path: string; format: string } {
  const path = fileOf(disk, pools);
  if (!path) throw wrong('its disk names no file');
  return { path, format: onlyOf(disk, 'driver')?.attributes['type'] ?? 'raw' };
}

/** The disk itself, then each `<backingStore>` with a source, from the top down. */
export function layersOf(disk: XmlElement): XmlElement[] {
  const lower = onlyOf(disk, 'backingStore');
  return lower && onlyOf(lower, 'source') ? [disk, ...layersOf(lower)] : [disk];
}

/** The file of a layer as it is spelled there, null where it names none. */
export const fileOf = (layer: XmlElement, pools: PoolFolders): string | null =>
  sourceFile(onlyOf(layer, 'source')?.attributes ?? {}, pools);

/** The attributes of a source with this file; a volume of a pool is named by path from then on. */
export const namedByPath = (
  { pool, volume, mode, ...kept }: Record<string, string>,
  file: string,
): Record<string, string> => ({ ...kept, file });

/**
 * Names of what changes the meaning of the bytes of a source's file, and that blockflow neither
 * knows nor keeps. With `fdgroup` QEMU gets a file from a person, and the name is only a word.
 */
export const oddElements = (disk: XmlElement): string[] =>
  layersOf(disk).flatMap((layer) => {
    const source = onlyOf(layer, 'source');
    const names = ['slices', 'cookies', 'ssl'].filter((name) => allOf(source, name).length > 0);
    const odd = names.map((name) => `<${name}>`);
    const isPassed = source?.attributes['fdgroup'] !== undefined;
    return [...odd, ...(isPassed ? ['fdgroup'] : [])];
  });

/** The cache of the active layer's metadata, null without one. */
export function cacheOf(disk: XmlElement): string | null {
  const cache = onlyOf(onlyOf(disk, 'driver'), CACHE);
  return cache && writeXml(cache);
}
export const CACHE = 'metadata_cache';
const UNREFERENCED = 'discard_no_unref';

/** What its driver has that libvirt takes of qcow2 alone, as people know it. */
export function qcow2Only(disk: XmlElement): string[] {
  const driver = onlyOf(disk, 'driver');
  return [
    ...(onlyOf(driver, CACHE) ? [`<${CACHE}>`] : []),
    ...(driver?.attributes[UNREFERENCED] === undefined ? [] : [UNREFERENCED]),
  ];
}

/** The driver of an active layer of that format. */
export function driverOf(disk: XmlElement, format: string): XmlElement {
  const { attributes = {}, children = [] } = onlyOf(disk, 'driver') ?? {};
  const { [UNREFERENCED]: unreferenced, ...others } = attributes;
  const kept = format === 'qcow2' ? attributes : others;
  const type = { name: 'qemu', ...kept, type: format };
  const isKept = (child: XmlElement | string) =>
    format === 'qcow2' || typeof child === 'string' || child.name !== CACHE;
  return createElement('driver', type, children.filter(isKept));
}

/**
 * The element that names the file of a block copy.
 * @param cache of the layer whose place it takes: libvirt takes it from here, or drops it
 */
export const copyTargetXml = ({ path, format }: Switch['to'], cache: string | null): string =>
  writeXml(
    createElement('disk', { type: 'file' }, [
      createElement(
        'driver',
        { name: 'qemu', type: format },
        cache === null ? [] : readXml(cache, CACHE).children,
      ),
      createElement('source', { file: path }),
    ]),
  );

interface Switch {
  /** The active layer, as it is to be. */
  to: { path: string; format: string };
  /** New names by the old ones, as they are spelled; null for a layer that leaves. */
  names: ReadonlyMap<string, string | null>;
  pools: PoolFolders;
}

/**
 * The element with another chain. The format is written out, because an element without `<driver
 * type>` silently becomes raw. An explicit chain would beat the header, so it is dropped, but for
 * one that says more than names and formats.
 * @returns null when the element is so already.
 */
export function switchDiskSource(disk: XmlElement, change: Switch): string | null {
  const { path, format } = change.to;
  const before = layersOf(disk);
  const after = remaining(before, change);
  const [active = { element: disk, file: path }, ...below] =
    after[0]?.file === path ? after : [{ element: withoutSecret(disk), file: path }];
  const isKept = below.some(({ element }) => saysMore(element));
  const hasChain = onlyOf(disk, 'backingStore') !== null;
  const driver = onlyOf(disk, 'driver');
  const isSwitched =
    diskFile(disk) === path &&
    driver?.attributes['type'] === format &&
    (isKept ? isSame(before, after) : !hasChain);
  if (isSwitched) return null;
  const replaced = ['driver', 'source', 'backingStore'];
  const kept = disk.children.filter((n) => typeof n === 'string' || !replaced.includes(n.name));
  const source = sourceOf(active, policyOf(disk));
  return writeXml(
    createElement('disk', { ...disk.attributes, type: 'file' }, [
      driverOf(disk, format),
      source,
      ...(isKept ? chainOf(below) : []),
      ...kept,
    ]),
  );
}

/** What the source says for the disk, whatever its file. */
export function policyOf(disk: XmlElement): Record<string, string> {
  const { startupPolicy } = onlyOf(disk, 'source')?.attributes ?? {};
  return startupPolicy === undefined ? {} : { startupPolicy };
}

interface Layer {
  element: XmlElement;
  /** As it is to be called. */
  file: string | null;
}

function remaining(before: readonly XmlElement[], { names, pools }: Switch): Layer[] {
  return before.flatMap((element) => {
    const file = fileOf(element, pools);
    const name = file === null ? undefined : names.get(file);
    return name === null ? [] : [{ element, file: name ?? file }];
  });
}

const diskFile = (disk: XmlElement) => onlyOf(disk, 'source')?.attributes['file'];

const isSame = (before: readonly XmlElement[], after: readonly Layer[]) =>
  before.length === after.length &&
  before.every((layer, at) => diskFile(layer) === after[at]?.file);

/** Of a layer that leaves: its key opens no other one. */
export function withoutSecret(disk: XmlElement): XmlElement {
  const source = onlyOf(disk, 'source');
  const children = source?.children.filter(
    (child) => typeof child === 'string' || child.name !== 'encryption',
  );
  return createElement(
    'disk',
    {},
    source ? [createElement('source', source.attributes, children)] : [],
  );
}

/** More than the header can tell: a secret, a label, a cache. */
export function saysMore(layer: XmlElement): boolean {
  const elements = [onlyOf(layer, 'source'), onlyOf(layer, 'format')];
  return elements.some((element) => element && element.children.some((c) => typeof c !== 'string'));
}

/** Whether any layer that the element names does. */
export const layersSayMore = (domainXml: string, target: string): boolean =>
  layersOf(diskElement(domainXml, target)).some(saysMore);

export function sourceOf({ element, file }: Layer, more: Record<string, string> = {}): XmlElement {
  const source = onlyOf(element, 'source');
  const { index, ...attributes } = source?.attributes ?? {};
  const named = file === null ? attributes : namedByPath(attributes, file);
  return createElement('source', { ...named, ...more }, source?.children);
}

/** Nested as libvirt writes it; the last one stays as it ended before. */
export function chainOf(layers: readonly Layer[]): XmlElement[] {
  const [layer, ...below] = layers;
  if (!layer) return [createElement('backingStore', {})];
  const format = onlyOf(layer.element, 'format');
  const type = layer.file === null ? (layer.element.attributes['type'] ?? 'file') : 'file';
  const inside = [...(format ? [format] : []), sourceOf(layer), ...chainOf(below)];
  return [createElement('backingStore', { type }, inside)];
}

/**
 * What becomes of the files that the layers name, by their spelling: libvirt keeps the one of its
 * user, perhaps a link.
 * @param nameOf by the path with links resolved; undefined for a file that stays as it is
 */
export async function namesOf(
  disk: XmlElement,
  pools: PoolFolders,
  nameOf: (path: string) => string | null | undefined,
): Promise<Map<string, string | null>> {
  const names = new Map<string, string | null>();
  for (const layer of layersOf(disk)) {
    const file = fileOf(layer, pools);
    const name = file === null ? undefined : nameOf(await canonical(file));
    if (file !== null && name !== undefined) names.set(file, name);
  }
  return names;
}
