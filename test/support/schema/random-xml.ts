/**
 * Random valid XML by a RELAX NG grammar, as libvirt ships it for its documents: what the schema
 * allows is what other people's VMs may hold.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import {
  createElement,
  elementsIn,
  readXml,
  visit,
  type XmlElement,
} from '../../../activities/adapters/libvirt-xml/xml.ts';

/** Where Debian's package has the grammars (libvirt0, libvirt-daemon). */
const SCHEMAS = '/usr/share/libvirt/schemas';

/** What a pattern adds to the element around it. */
interface Parts {
  attributes: Record<string, string>;
  children: XmlElement['children'];
}
type Random = fc.Arbitrary<Parts>;

const NOTHING: Parts = { attributes: {}, children: [] };
const nothing: Random = fc.constant(NOTHING);
const joined = (parts: readonly Parts[]): Parts => ({
  attributes: Object.assign(
    {},
    ...parts.map(({ attributes }) => attributes),
  ) as Parts['attributes'],
  children: parts.flatMap(({ children }) => children),
});
const wordsIn = (children: XmlElement['children']) =>
  children.filter((child): child is string => typeof child === 'string').join('');
const textOf = ({ children }: XmlElement) => wordsIn(children);

/** A value of its own for a definition, instead of what the grammar says. */
export type Instead = Record<string, fc.Arbitrary<string> | 'never'>;

/** The definitions of the grammar in these files, by their names. */
function definitionsIn(files: readonly string[]): Map<string, XmlElement[]> {
  const found = new Map<string, XmlElement[]>();
  for (const file of files) {
    const grammar = readXml(readFileSync(join(SCHEMAS, file), 'utf8'), 'grammar');
    visit(grammar, (element) => {
      const { name = '' } = element.attributes;
      if (element.name === 'define') found.set(name, [...(found.get(name) ?? []), element]);
    });
  }
  return found;
}

/** How often a definition may contain itself: a chain of three backing stores. */
const DEEP = 3;

/** What stands where the grammar allows any text; libvirt takes no other characters everywhere. */
const words = fc
  .stringMatching(/^[a-zA-Z0-9_.&<>"' -]{0,8}[a-z0-9]$/)
  .map((text) => ({ attributes: {}, children: [text] }));

/** An integer in the bounds of the schema, or a string by its pattern. */
function dataOf(data: XmlElement): Random {
  const parameter = (name: string) =>
    elementsIn(data).find(({ attributes }) => attributes['name'] === name);
  const pattern = parameter('pattern');
  const bound = (name: string, otherwise: number) => {
    const found = parameter(name);
    return found ? Number(textOf(found)) : otherwise;
  };
  const text =
    data.attributes['type'] === 'string'
      ? fc
          .stringMatching(new RegExp(`^(?:${pattern ? textOf(pattern).trim() : '[a-z]+'})$`))
          .filter((value) => /^[ -~]*$/.test(value))
      : fc.integer({ min: bound('minInclusive', 1), max: bound('maxInclusive', 4096) }).map(String);
  return text.map((value) => ({ attributes: {}, children: [value] }));
}

/** Patterns of a grammar as what they allow; null for what cannot occur. */
class Grammar {
  readonly #definitions: Map<string, XmlElement[]>;
  readonly #instead: Instead;

  constructor(files: readonly string[], instead: Instead) {
    this.#definitions = definitionsIn(files);
    this.#instead = instead;
  }

  named(name: string, within: readonly string[] = []): Random | null {
    const other = this.#instead[name];
    const isTooDeep = within.filter((outer) => outer === name).length >= DEEP;
    if (other === 'never' || isTooDeep) return null;
    if (other) return other.map((text) => ({ attributes: {}, children: [text] }));
    const found = this.#definitions.get(name);
    if (!found) throw new Error(`the grammar defines no ${name}`);
    // libvirt combines definitions of one name by choice only.
    return this.#any(found, (one) => this.#all(elementsIn(one), [...within, name]));
  }

  #any(patterns: readonly XmlElement[], of: (pattern: XmlElement) => Random | null) {
    const some = patterns.map(of).filter((one) => one !== null);
    return some.length === 0 ? null : fc.oneof(...some);
  }

  #all(patterns: readonly XmlElement[], within: readonly string[]): Random | null {
    const all: Random[] = [];
    for (const pattern of patterns) {
      const one = this.#of(pattern, within);
      if (!one) return null;
      all.push(one);
    }
    return fc.tuple(...all).map(joined);
  }

  #of(pattern: XmlElement, within: readonly string[]): Random | null {
    const { name = '' } = pattern.attributes;
    const inside = elementsIn(pattern);
    const all = () => this.#all(inside, within);
    switch (pattern.name) {
      case 'ref':
        return this.named(name, within);
      case 'group':
      case 'interleave':
        return all();
      case 'choice':
        return this.#any(inside, (one) => this.#of(one, within));
      case 'optional': {
        const some = all();
        return some ? fc.oneof(nothing, some) : nothing;
      }
      case 'zeroOrMore':
        return repeated(all(), 0);
      case 'oneOrMore':
        return repeated(all(), 1);
      case 'element':
        return (
          all()?.map((parts) => ({
            attributes: {},
            children: [createElement(name, parts.attributes, parts.children)],
          })) ?? null
        );
      case 'attribute':
        return (
          (inside.length === 0 ? words : all())?.map(({ children }) => ({
            attributes: { [name]: wordsIn(children) },
            children: [],
          })) ?? null
        );
      case 'value':
        return fc.constant({ attributes: {}, children: [textOf(pattern)] });
      case 'data':
        return dataOf(pattern);
      case 'text':
        return words;
      case 'empty':
        return nothing;
      case 'notAllowed':
        return null;
    }
    throw new Error(`a pattern of RELAX NG that is not known here: ${pattern.name}`);
  }
}

function repeated(inside: Random | null, least: number): Random | null {
  if (!inside) return least === 0 ? nothing : null;
  return fc.array(inside, { minLength: least, maxLength: least + 1 }).map(joined);
}

/**
 * Elements by the definition of this name, which must be one element.
 * @param instead of definitions: other values, or that they do not occur
 */
export function randomXml(
  { files, definition }: { files: readonly string[]; definition: string },
  instead: Instead,
): fc.Arbitrary<XmlElement> {
  const whole = new Grammar(files, instead).named(definition);
  if (!whole) throw new Error(`nothing is allowed as ${definition}`);
  return whole.map(({ children }) => children[0] as XmlElement);
}
