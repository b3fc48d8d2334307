/**
 * XML of libvirt, read strictly: the parser alone would take a truncated document for a short one,
 * expand a DTD's entities, and leave character references as they are, with which libxml2 writes
 * everything but ASCII into metadata.
 */
import { XMLBuilder, XMLParser, XMLValidator, type X2jOptions } from 'fast-xml-parser';
import { unexpected } from '../reply.ts';

const NAMED: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
/** What XML 1.0 cannot hold, not even as a reference; a lone surrogate is no character at all. */
const ILLEGAL = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u;

const REFERENCE = /&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w+));|&/gi;

/** In one pass: what a reference means is never read as another one. */
const decode = (text: string) =>
  text.replaceAll(REFERENCE, (whole, hex?: string, dec?: string, name?: string) => {
    return meaningOf(hex, dec, name) ?? whole;
  });

function meaningOf(hex?: string, dec?: string, name?: string): string | undefined {
  if (name !== undefined) return NAMED[name];
  const code = hex === undefined ? Number(dec) : parseInt(hex, 16);
  const text = code <= 0x10ffff ? String.fromCodePoint(code) : '';
  return text === '' || ILLEGAL.test(text) ? undefined : text;
}

/** Why the document is not one that libvirt writes; null when nothing is wrong with it. */
function faultOf(xml: string): string | null {
  const bare = xml.replaceAll(/<!\[CDATA\[.*?\]\]>|<!--.*?-->/gs, '');
  if (/<!DOCTYPE/i.test(bare)) return 'it has a DTD';
  if (ILLEGAL.test(xml)) return 'it holds what is no character of XML';
  for (const [whole, hex, dec, name] of bare.matchAll(REFERENCE)) {
    if (meaningOf(hex, dec, name) === undefined) return `${whole} means nothing in it`;
  }
  const valid = XMLValidator.validate(xml);
  return valid === true ? null : `it is not well-formed: ${valid.err.msg}`;
}

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};
const reference = (char: string) =>
  ENTITIES[char] ?? `&#x${(char.codePointAt(0) as number).toString(16).toUpperCase()};`;

/** ASCII only, so that no locale changes it; a reader would make line ends and tabs blanks. */
const encodeAttribute = (text: string) => encode(text, /[&<>"']|[^\x20-\x7e]/gu);
const encodeText = (text: string) => encode(text, /[&<>"']|[^\t\n\x20-\x7e]/gu);

function encode(text: string, special: RegExp): string {
  if (ILLEGAL.test(text)) throw new Error(`XML cannot hold ${JSON.stringify(text)}`);
  return text.replaceAll(special, reference);
}

const OPTIONS = {
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
  // A name may end in a blank.
  trimValues: false,
  // libvirt allows chains of 200 layers, each inside of the one above.
  maxNestedTags: 2000,
  processEntities: false,
  cdataPropName: '#cdata',
  commentPropName: '#comment',
} as const;

/** Reads documents of one root element; @throws Retry `unexpected-reply` for anything else. */
export function createXmlReader(options: X2jOptions = {}) {
  const parser = new XMLParser({
    ...OPTIONS,
    tagValueProcessor: (_, text) => decode(text),
    attributeValueProcessor: (_, text) => decode(text),
    ...options,
  });
  return (xml: string, root: string): unknown => {
    const from = `libvirt for a ${root}`;
    const fault = faultOf(xml);
    if (fault !== null) throw unexpected(from, fault, xml);
    const parsed = read(parser, from, xml);
    const nodes = Array.isArray(parsed) ? parsed : [parsed];
    const names = nodes.flatMap((node) => Object.keys(node as object));
    const roots = names.filter((name) => !/^(\?xml|#text|#comment|:@)$/.test(name));
    const isTwice = nodes.some((node) => Array.isArray((node as Record<string, unknown>)[root]));
    if (roots.join(' ') === root && (Array.isArray(parsed) || !isTwice)) return parsed;
    throw unexpected(from, `its root is ${roots.join(', ')}`, xml);
  };
}

function read(parser: XMLParser, from: string, xml: string): unknown {
  try {
    return parser.parse(xml);
  } catch (error) {
    throw unexpected(from, (error as Error).message, xml);
  }
}

/** Writes what a reader of the same options gives back as it was. */
export const createXmlBuilder = (options: object = {}) =>
  new XMLBuilder({
    ...OPTIONS,
    suppressEmptyNode: true,
    tagValueProcessor: (_, value) => encodeText(String(value)),
    attributeValueProcessor: (_, value) => encodeAttribute(String(value)),
    ...options,
  });
