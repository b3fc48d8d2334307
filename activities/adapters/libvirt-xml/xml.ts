/**
 * XML of libvirt as one tree, to be read and to be changed in place: what is not changed is written
 * as it was. Read strictly: the parser alone would take a truncated document for a short one,
 * expand a DTD's entities, and leave character references as they are, with which libxml2 writes
 * everything but ASCII into metadata.
 */
import { XMLBuilder, XMLParser, XMLValidator } from 'fast-xml-parser';
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

/** A document is an element whose name is DOCUMENT; comments and CDATA are such with a text. */
export interface XmlElement {
  name: string;
  attributes: Record<string, string>;
  /** In the order of the document, with every blank. */
  children: (XmlElement | string)[];
}
const DOCUMENT = '#document';
const isText = (child: XmlElement | string) => typeof child === 'string';

export const createElement = (
  name: string,
  attributes: Record<string, string>,
  children: XmlElement['children'] = [],
): XmlElement => ({ name, attributes, children });

const OPTIONS = {
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
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

const parser = new XMLParser({
  ...OPTIONS,
  tagValueProcessor: (_, text) => decode(text),
  attributeValueProcessor: (_, text) => decode(text),
});
const builder = new XMLBuilder({
  ...OPTIONS,
  suppressEmptyNode: true,
  tagValueProcessor: (_, value) => encodeText(String(value)),
  attributeValueProcessor: (_, value) => encodeAttribute(String(value)),
});

/** The parser's shape: one tag a node, attributes under `:@`, and texts under `#text`. */
type Parsed = Record<string, unknown> & { ':@'?: Record<string, string> };

function fromParsed({ ':@': attributes = {}, ...tag }: Parsed): XmlElement | string {
  const [name, inside] = Object.entries(tag)[0] as [string, Parsed[] | string];
  return typeof inside === 'string'
    ? inside
    : createElement(name, attributes, inside.map(fromParsed));
}

const toParsed = (child: XmlElement | string): Parsed =>
  isText(child)
    ? { '#text': child }
    : { [child.name]: child.children.map(toParsed), ':@': child.attributes };

/**
 * Reads a document with this root element, which is returned within it.
 * @throws Retry `unexpected-reply` for anything else
 */
export function readXml(xml: string, root: string): XmlElement {
  const from = `libvirt for a ${root}`;
  const fault = faultOf(xml);
  if (fault !== null) throw unexpected(from, fault, xml);
  const document = createElement(DOCUMENT, {}, parse(from, xml).map(fromParsed));
  const roots = elementsIn(document).map(({ name }) => name);
  if (roots.join(' ') === root) return document;
  throw unexpected(from, `its root is ${roots.join(', ')}`, xml);
}

function parse(from: string, xml: string): Parsed[] {
  try {
    return parser.parse(xml) as Parsed[];
  } catch (error) {
    throw unexpected(from, (error as Error).message, xml);
  }
}

/** Writes an element or a document; `readXml` gives it back as it was. */
export const writeXml = (element: XmlElement): string =>
  String(
    builder.build(element.name === DOCUMENT ? element.children.map(toParsed) : [toParsed(element)]),
  );

/** Without texts, comments, CDATA and the declaration. */
export const elementsIn = ({ children }: XmlElement): XmlElement[] =>
  children.filter(
    (child) => typeof child !== 'string' && /^[^#?]/.test(child.name),
  ) as XmlElement[];

/** The children of this name; none of an element that is not there. */
export const allOf = (element: XmlElement | null, name: string): XmlElement[] =>
  element ? elementsIn(element).filter((child) => child.name === name) : [];

/** The only child of this name, null when there is none; @throws Retry when there are several. */
export function onlyOf(element: XmlElement | null, name: string): XmlElement | null {
  const [found = null, ...others] = allOf(element, name);
  if (others.length === 0) return found;
  throw unexpected('libvirt', `its <${element?.name}> has several <${name}>`);
}

/** Neither attributes nor elements: text at most. */
export const isPlain = ({ attributes, children }: XmlElement): boolean =>
  Object.keys(attributes).length === 0 && children.every(isText);

/** The text of an element that is nothing else; null otherwise. */
export const textOf = (element: XmlElement | null): string | null =>
  element && isPlain(element) ? element.children.filter(isText).join('') : null;

/** Shows an element and all below it to `see`, which may change them. */
export function visit(element: XmlElement, see: (element: XmlElement) => void): void {
  see(element);
  for (const child of elementsIn(element)) visit(child, see);
}
