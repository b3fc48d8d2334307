/** XML documents that are changed in place: everything that is not changed comes back as it was. */
import { createXmlBuilder, createXmlReader } from './xml.ts';

const read = createXmlReader({ preserveOrder: true });
const builder = createXmlBuilder({ preserveOrder: true });

/** preserveOrder's shape: one tag a node, attributes under `:@`. */
export type Ordered = Record<string, unknown> & { ':@'?: Record<string, string> };

/** @throws Retry `unexpected-reply` unless it is one whole document of this root element. */
export const parseOrdered = (xml: string, root: string) => read(xml, root) as Ordered[];
export const buildOrdered = (nodes: Ordered[]) => String(builder.build(nodes));
