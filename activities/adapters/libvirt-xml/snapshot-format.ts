/** libvirt's snapshot metadata after the format of a file that it names was changed. */
import { CACHE, driverOf } from './disk-element.ts';
import { allOf, createElement, readXml, visit, writeXml, type XmlElement } from './xml.ts';

/**
 * The document with this format at every source of this file: the `<driver>` of a disk, the
 * `<format>` of a backing store.
 */
export function withFormat(xml: string, file: string, format: string): string {
  const document = readXml(xml, 'domainsnapshot');
  visit(document, (layer) => {
    if (!allOf(layer, 'source').some(({ attributes }) => attributes['file'] === file)) return;
    setFormat(layer, format);
  });
  return writeXml(document);
}

/** Without what libvirt takes of qcow2 alone, where it is another one. */
export function setFormat(layer: XmlElement, format: string): void {
  const names = ['driver', 'format'];
  const said = layer.children.some((one) => typeof one !== 'string' && names.includes(one.name));
  // A disk without one counts as raw.
  if (!said && layer.name === 'disk') layer.children.unshift(createElement('driver', {}));
  layer.children = layer.children.map((child) => {
    if (typeof child === 'string' || !names.includes(child.name)) return child;
    return child.name === 'driver' ? driverFor(layer, child, format) : formatFor(child, format);
  });
}

/** A disk of the snapshot itself names no driver. */
function driverFor(layer: XmlElement, before: XmlElement, format: string): XmlElement {
  const { attributes, children } = driverOf(layer, format);
  const { name, ...others } = attributes;
  const isNamed = name !== undefined && 'name' in before.attributes;
  return createElement('driver', isNamed ? attributes : others, children);
}

const formatFor = ({ attributes, children }: XmlElement, format: string): XmlElement =>
  createElement(
    'format',
    { ...attributes, type: format },
    children.filter(
      (child) => format === 'qcow2' || typeof child === 'string' || child.name !== CACHE,
    ),
  );
