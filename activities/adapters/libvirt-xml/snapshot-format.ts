/** libvirt's snapshot metadata after the format of a file that it names was changed. */
import { allOf, readXml, visit, writeXml } from './xml.ts';

/**
 * The document with this format at every source of this file: the `<driver>` of a disk, the
 * `<format>` of a backing store.
 */
export function withFormat(xml: string, file: string, format: string): string {
  const document = readXml(xml, 'domainsnapshot');
  visit(document, (layer) => {
    if (!allOf(layer, 'source').some(({ attributes }) => attributes['file'] === file)) return;
    for (const named of [...allOf(layer, 'driver'), ...allOf(layer, 'format')]) {
      named.attributes['type'] = format;
    }
  });
  return writeXml(document);
}
