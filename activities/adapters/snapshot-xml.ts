/** libvirt's snapshot metadata: which files a snapshot names, and the same document after a merge. */
import { XMLBuilder, XMLParser } from 'fast-xml-parser';

const options = {
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  preserveOrder: true,
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
} as const;
const parser = new XMLParser(options);
const builder = new XMLBuilder({ ...options, suppressEmptyNode: true });

/** preserveOrder's shape: one tag a node, attributes under `:@`. */
type Ordered = Record<string, unknown> & { ':@'?: Record<string, string> };

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

/** Parses one `<domainsnapshot>` document. */
export function parseSnapshot(xml: string): Snapshot {
  const root = parser.parse(xml) as Ordered[];
  const body = inside(children(root, 'domainsnapshot')[0], 'domainsnapshot');
  const text = inside(children(body, 'name')[0], 'name')[0];
  return {
    name: String(text?.['#text'] ?? ''),
    disks: children(inside(children(body, 'disks')[0], 'disks'), 'disk').map((node) => ({
      name: node[':@']?.['@name'] ?? '',
      kind: node[':@']?.['@snapshot'] ?? 'no',
      source: children(inside(node, 'disk'), 'source')[0]?.[':@']?.['@file'] ?? null,
      node,
    })),
    root,
  };
}

/** True when any element of the document names one of the files. */
export function namesAny(snapshot: Snapshot, files: ReadonlySet<string>): boolean {
  let found = false;
  visitSources(snapshot.root, (file) => {
    found ||= files.has(file);
    return file;
  });
  return found;
}

/**
 * The document after `committed` files were merged into `base`: the disk's own restore point is gone where its overlay
 * was committed (the element becomes `snapshot='no'`), and every other mention of a committed file becomes the base.
 */
export function rewriteSnapshot(
  snapshot: Snapshot,
  committed: ReadonlySet<string>,
  base: string,
): string {
  for (const disk of snapshot.disks) {
    if (disk.source !== null && committed.has(disk.source)) {
      disk.node['disk'] = [];
      disk.node[':@'] = { '@name': disk.name, '@snapshot': 'no' };
    }
  }
  visitSources(snapshot.root, (file) => (committed.has(file) ? base : file));
  return String(builder.build(snapshot.root));
}

function visitSources(nodes: Ordered[], change: (file: string) => string): void {
  for (const node of nodes) {
    const attributes = node[':@'];
    if ('source' in node && attributes?.['@file']) {
      attributes['@file'] = change(attributes['@file']);
    }
    for (const value of Object.values(node)) {
      if (Array.isArray(value)) visitSources(value as Ordered[], change);
    }
  }
}
