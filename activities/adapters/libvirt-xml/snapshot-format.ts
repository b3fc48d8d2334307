/** libvirt's snapshot metadata after the format of a file that it names was changed. */
import { buildOrdered, parseOrdered, type Ordered } from './ordered-xml.ts';

/**
 * The document with this format at every source of this file: the `<driver>` of a disk, the
 * `<format>` of a backing store.
 */
export function withFormat(xml: string, file: string, format: string): string {
  const root = parseOrdered(xml, 'domainsnapshot');
  setFormat(root, file, format);
  return buildOrdered(root);
}

function setFormat(siblings: Ordered[], file: string, format: string): void {
  const isNamed = siblings.some((node) => 'source' in node && node[':@']?.['@file'] === file);
  for (const node of siblings) {
    if (isNamed && ('driver' in node || 'format' in node)) {
      node[':@'] = { ...node[':@'], '@type': format };
    }
    for (const value of Object.values(node)) {
      if (Array.isArray(value)) setFormat(value as Ordered[], file, format);
    }
  }
}
