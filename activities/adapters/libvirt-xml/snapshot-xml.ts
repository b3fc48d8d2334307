/**
 * libvirt's snapshot metadata: which files a snapshot names, and the same document after a merge.
 */
import { unexpected } from '../reply.ts';
import {
  fileOf,
  namedByPath,
  policyOf,
  sourceOf,
  withOwnSecret,
  withoutSecret,
} from './disk-element.ts';
import { setFormat } from './snapshot-format.ts';
import { sourceFile, type PoolFolders } from './named-files.ts';
import {
  allOf,
  createElement,
  onlyOf,
  readXml,
  textOf,
  visit,
  writeXml,
  type XmlElement,
} from './xml.ts';

interface SnapshotDisk {
  name: string;
  kind: string;
  source: string | null;
  element: XmlElement;
}

export interface Snapshot {
  name: string;
  disks: SnapshotDisk[];
  document: XmlElement;
  /** Where a source of `type='volume'` has its file. */
  pools: PoolFolders;
}

const wrong = (why: string) => unexpected('libvirt for a domainsnapshot', why);

const KINDS = ['no', 'internal', 'external', 'manual'];

/** Parses one `<domainsnapshot>` document. @throws Retry `unexpected-reply` for anything else. */
export function parseSnapshot(xml: string, pools: PoolFolders = []): Snapshot {
  const document = readXml(xml, 'domainsnapshot');
  const snapshot = onlyOf(document, 'domainsnapshot');
  const name = textOf(onlyOf(snapshot, 'name'));
  if (!name) throw wrong('it has no name');
  const disks = allOf(onlyOf(snapshot, 'disks'), 'disk').map(parseDisk);
  return { name, disks, document, pools };
}

function parseDisk(element: XmlElement): SnapshotDisk {
  const { name, snapshot: kind = 'no' } = element.attributes;
  if (!name || !KINDS.includes(kind)) throw wrong(`disk ${name} of it has the kind ${kind}`);
  return { name, kind, source: onlyOf(element, 'source')?.attributes['file'] ?? null, element };
}

/** Every file that an element of the document names as a source. */
export function sourcesOf({ document, pools }: Snapshot): string[] {
  const found: string[] = [];
  visit(document, ({ name, attributes }) => {
    const file = name === 'source' ? sourceFile(attributes, pools) : null;
    if (file !== null) found.push(file);
  });
  return found;
}

/** The file that holds the guest's memory, null when no file of its own does. */
export const memoryFile = ({ document }: Snapshot): string | null =>
  onlyOf(onlyOf(document, 'domainsnapshot'), 'memory')?.attributes['file'] ?? null;

/** The VM as it was before it, as a document; null when it does not say. */
export function domainOf({ document }: Snapshot): string | null {
  const domain = onlyOf(onlyOf(document, 'domainsnapshot'), 'domain');
  return domain && writeXml(domain);
}

/** What a snapshot says of itself, besides its disks. */
export interface SnapshotFacts {
  parent: string | null;
  /** Seconds since 1970, null without a time. */
  takenAtSeconds: number | null;
  description: string;
  memory: 'no' | 'internal' | 'external';
}

/** @throws Retry `unexpected-reply` for a kind of memory that libvirt does not have */
export function factsOf({ document }: Snapshot): SnapshotFacts {
  const snapshot = onlyOf(document, 'domainsnapshot');
  const time = textOf(onlyOf(snapshot, 'creationTime')) ?? '';
  const said = onlyOf(snapshot, 'memory')?.attributes['snapshot'] ?? 'no';
  const memory = (['no', 'internal', 'external'] as const).find((kind) => kind === said);
  if (!memory) throw wrong(`the memory of it has the kind ${said}`);
  return {
    parent: textOf(onlyOf(onlyOf(snapshot, 'parent'), 'name')),
    takenAtSeconds: /^\d{1,12}$/.test(time) ? Number(time) : null,
    description: textOf(onlyOf(snapshot, 'description')) ?? '',
    memory,
  };
}

interface Base {
  path: string;
  format: string;
}

/**
 * The document after the files of `gone` were merged into `base`: the disk's own restore point is
 * gone where its overlay was committed (the element becomes `snapshot='no'`), and the VM's disks
 * have the shorter chain.
 */
export function rewriteSnapshot(
  { disks, document, pools }: Snapshot,
  gone: ReadonlySet<string>,
  base: Base,
): string {
  for (const { name, source, element } of disks) {
    if (source === null || !gone.has(source)) continue;
    Object.assign(element, { attributes: { name, snapshot: 'no' }, children: [] });
  }
  visit(document, (element) => {
    if (element.name === 'disk') shorten(withOwnSecret(element), { gone, base, pools });
  });
  return writeXml(document);
}

/**
 * Takes the gone files out of the chain that begins with this layer (a disk or a backing store). Of
 * a layer A over B over C, A over C is left when B is gone, and C when A and B are. Where the
 * document names nothing below the last one that is gone, that one becomes `base`.
 */
function shorten(layer: XmlElement, merge: Merge): void {
  const { gone, base, pools } = merge;
  const file = fileOf(layer, pools);
  if (file === null) return;
  const [next] = allOf(layer, 'backingStore');
  if (!gone.has(file)) return next && shorten(next, merge);
  const below = belowGone(layer, merge);
  const [lower] = below;
  if (!lower || fileOf(lower, pools) === null) return becomeBase(layer, base, below);
  becomeLower(layer, lower, merge);
  // One further below may be gone as well.
  shorten(layer, merge);
}

/** What the last one says that is gone from here on down. */
function belowGone(layer: XmlElement, merge: Merge): XmlElement[] {
  const below = allOf(layer, 'backingStore');
  const file = below[0] ? fileOf(below[0], merge.pools) : null;
  return below[0] && file !== null && merge.gone.has(file) ? belowGone(below[0], merge) : below;
}

function becomeLower(layer: XmlElement, lower: XmlElement, { base, pools }: Merge): void {
  if (layer.name === 'backingStore') return void Object.assign(layer, lower);
  const source = sourceOf({ element: lower, file: fileOf(lower, pools) }, policyOf(layer));
  setFormat(layer, onlyOf(lower, 'format')?.attributes['type'] ?? base.format);
  putChildren(layer, { source: [source], backingStore: allOf(lower, 'backingStore') });
  if ('type' in layer.attributes) layer.attributes['type'] = 'file';
}

function becomeBase(layer: XmlElement, { path, format }: Base, below: XmlElement[]): void {
  const source = sourceOf({ element: withoutSecret(layer), file: path }, policyOf(layer));
  setFormat(layer, format);
  // A cache beside a format is of the layer that is gone.
  const said = createElement('format', { type: format });
  putChildren(layer, { source: [source], format: [said], backingStore: below });
  if ('type' in layer.attributes) layer.attributes['type'] = 'file';
}

/** In the places of those that are there. */
function putChildren(layer: XmlElement, others: Record<string, XmlElement[]>): void {
  layer.children = layer.children.flatMap<XmlElement | string>((child) =>
    typeof child === 'string' ? [child] : (others[child.name] ?? [child]),
  );
}

interface Merge {
  gone: ReadonlySet<string>;
  base: Base;
  pools: PoolFolders;
}

/** The document after files were moved: every source that `renamed` knows has its new name. */
export function renameSources(
  { document, pools }: Snapshot,
  renamed: ReadonlyMap<string, string>,
): string {
  visit(document, (layer) => {
    for (const source of allOf(layer, 'source')) {
      const name = renamed.get(sourceFile(source.attributes, pools) ?? '');
      if (name !== undefined) nameFile(layer, source, name);
    }
  });
  return writeXml(document);
}

/** The document with other overlays of its disks, by their targets. */
export function nameOverlays(
  { disks, document }: Snapshot,
  overlays: ReadonlyMap<string, string>,
): string {
  for (const { name, element } of disks) {
    const [file, source] = [overlays.get(name), onlyOf(element, 'source')];
    if (file !== undefined && source) nameFile(element, source, file);
  }
  return writeXml(document);
}

function nameFile(layer: XmlElement, source: XmlElement, file: string): void {
  const isVolume = 'pool' in source.attributes && 'volume' in source.attributes;
  source.attributes = namedByPath(source.attributes, file);
  if (isVolume && layer.attributes['type'] !== undefined) layer.attributes['type'] = 'file';
}
