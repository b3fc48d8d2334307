/**
 * libvirt's snapshot metadata: which files a snapshot names, and the same document after a merge.
 */
import { buildOrdered, parseOrdered, type Ordered } from './ordered-xml.ts';
import { unexpected } from '../reply.ts';

const children = (nodes: Ordered[], tag: string): Ordered[] =>
  nodes.flatMap((n) => (tag in n ? [n] : []));
const inside = (node: Ordered | undefined, tag: string): Ordered[] =>
  (node?.[tag] as Ordered[] | undefined) ?? [];

interface SnapshotDisk {
  name: string;
  kind: string;
  source: string | null;
  node: Ordered;
}

export interface Snapshot {
  name: string;
  disks: SnapshotDisk[];
  root: Ordered[];
}

const wrong = (why: string) => unexpected('libvirt for a domainsnapshot', why);

/** The children of the only element of this name; null when there is none. */
function only(nodes: Ordered[], tag: string): Ordered[] | null {
  const found = children(nodes, tag);
  if (found.length > 1) throw wrong(`it has several <${tag}>`);
  return found[0] ? inside(found[0], tag) : null;
}

const KINDS = ['no', 'internal', 'external', 'manual'];

/** Parses one `<domainsnapshot>` document. @throws Retry `unexpected-reply` for anything else. */
export function parseSnapshot(xml: string): Snapshot {
  const root = parseOrdered(xml, 'domainsnapshot');
  const body = only(root, 'domainsnapshot') ?? [];
  const text = only(body, 'name')?.[0]?.['#text'];
  if (typeof text !== 'string' || text === '') throw wrong('it has no name');
  return { name: text, disks: children(only(body, 'disks') ?? [], 'disk').map(parseDisk), root };
}

function parseDisk(node: Ordered): SnapshotDisk {
  const { '@name': name, '@snapshot': kind = 'no' } = node[':@'] ?? {};
  if (!name || !KINDS.includes(kind)) throw wrong(`disk ${name} of it has the kind ${kind}`);
  const sources = children(inside(node, 'disk'), 'source');
  if (sources.length > 1) throw wrong(`disk ${name} of it has several sources`);
  return { name, kind, source: sources[0]?.[':@']?.['@file'] ?? null, node };
}

/** Every file that an element of the document names as a source. */
export function sourcesOf(snapshot: Snapshot): string[] {
  const found: string[] = [];
  visit(snapshot.root, (node) => {
    const file = 'source' in node ? node[':@']?.['@file'] : undefined;
    if (file !== undefined) found.push(file);
  });
  return found;
}

/**
 * The document after the files of `gone` were merged into `base`: the disk's own restore point is
 * gone where its overlay was committed (the element becomes `snapshot='no'`), and the VM's disks
 * have the shorter chain.
 */
export function rewriteSnapshot(
  snapshot: Snapshot,
  gone: ReadonlySet<string>,
  base: { path: string; format: string },
): string {
  for (const disk of snapshot.disks) {
    if (disk.source !== null && gone.has(disk.source)) {
      disk.node['disk'] = [];
      disk.node[':@'] = { '@name': disk.name, '@snapshot': 'no' };
    }
  }
  visit(snapshot.root, (node) => {
    if ('disk' in node) shorten(node['disk'] as Ordered[], gone, base);
  });
  return buildOrdered(snapshot.root);
}

/**
 * Takes the gone files out of the chain that begins with this layer (the children of a disk or a
 * backing store). Of a layer A over B over C, A over C is left when B is gone, and C when A and B
 * are. Where the document names nothing below the last one that is gone, that one becomes `base`.
 */
function shorten(
  layer: Ordered[],
  gone: ReadonlySet<string>,
  base: { path: string; format: string },
): void {
  const file = fileOf(layer);
  if (file === undefined) return;
  const lower = inside(children(layer, 'backingStore')[0], 'backingStore');
  if (!gone.has(file)) return shorten(lower, gone, base);
  const lowerFile = fileOf(lower);
  const lowerFormat = children(lower, 'format')[0]?.[':@']?.['@type'];
  setFile(layer, lowerFile ?? base.path);
  setFormat(layer, (lowerFile === undefined ? undefined : lowerFormat) ?? base.format);
  if (lowerFile === undefined) return;
  // It has taken the place of the layer below it, whose own backing store it gets. That may be gone
  // as well.
  setBackingStores(layer, children(lower, 'backingStore'));
  shorten(layer, gone, base);
}

const fileOf = (layer: Ordered[]) => children(layer, 'source')[0]?.[':@']?.['@file'];

function setFile(layer: Ordered[], file: string): void {
  const source = children(layer, 'source')[0];
  if (source) source[':@'] = { ...source[':@'], '@file': file };
}

function setBackingStores(layer: Ordered[], stores: Ordered[]): void {
  const at = layer.findIndex((node) => 'backingStore' in node);
  layer.splice(at, 1, ...stores);
}

function setFormat(layer: Ordered[], format: string): void {
  for (const node of [...children(layer, 'driver'), ...children(layer, 'format')]) {
    node[':@'] = { ...node[':@'], '@type': format };
  }
}

function visit(nodes: Ordered[], see: (node: Ordered) => void): void {
  for (const node of nodes) {
    see(node);
    for (const value of Object.values(node)) {
      if (Array.isArray(value)) visit(value as Ordered[], see);
    }
  }
}

/** The document after files were moved: every source that `renamed` knows has its new name. */
export function renameSources(snapshot: Snapshot, renamed: ReadonlyMap<string, string>): string {
  visit(snapshot.root, (node) => {
    const attributes = node[':@'];
    const file = 'source' in node ? attributes?.['@file'] : undefined;
    if (attributes && file !== undefined) attributes['@file'] = renamed.get(file) ?? file;
  });
  return buildOrdered(snapshot.root);
}
