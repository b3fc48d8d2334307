/** XML documents that are changed in place: everything that is not changed comes back as it was. */
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
export type Ordered = Record<string, unknown> & { ':@'?: Record<string, string> };

export const parseOrdered = (xml: string) => parser.parse(xml) as Ordered[];
export const buildOrdered = (nodes: Ordered[]) => String(builder.build(nodes));
