/**
 * Every local file that a document of libvirt names, wherever it does: as a disk's source, as
 * firmware, kernel or memory, or on QEMU's command line.
 */
import { hash } from 'node:crypto';
import { join } from 'node:path';
import { keepNewest } from '../keep-newest.ts';
import { elementsIn, onlyOf, readXml, type XmlElement } from './xml.ts';

/** Texts for people and other programs: QEMU opens nothing that they name. */
const WITHOUT_FILES = new Set(['metadata', 'description', 'title']);

/** Where `type='volume'` looks for its volume. */
export type PoolFolders = readonly { name: string; folder: string | null }[];

type Root = 'domain' | 'domainsnapshot';

interface Where {
  pools: PoolFolders;
  /** The target of a disk that is left out. */
  own?: string;
}

export interface NamedFiles {
  /** Absolute, each once. */
  paths: ReadonlySet<string>;
  /** Those that may be images on others, which their headers alone tell. */
  open: ReadonlySet<string>;
  /** Those of which the document tells what they stand on. */
  told: ReadonlySet<string>;
  /** Why the document could not be read: then every path in its text is given. */
  unread: string | null;
}

/**
 * What is no file on this host, a socket or a folder as well, may be among the paths: they are
 * compared with volumes by identity. A whole document that cannot be read must not stop operations
 * on files that it does not name, so its text is searched then.
 * @throws Retry `unexpected-reply` for a document that is cut off
 */
export function filesNamed(xml: string, root: Root, where: Where): NamedFiles {
  const pools = where.pools.map(({ name, folder }) => [name, folder]);
  const key = hash('sha256', JSON.stringify([root, where.own ?? null, pools, xml]));
  const found = known.get(key) ?? findFiles(xml, root, where);
  keepNewest(known, key, found, MOST_KNOWN);
  return found;
}

/**
 * A host has hundreds of domains, most of whose XML is the same each time that someone looks: to
 * read it takes ten times as long as to know it again.
 */
const known = new Map<string, NamedFiles>();
const MOST_KNOWN = 5000;

function findFiles(xml: string, root: Root, { pools, own }: Where): NamedFiles {
  const [paths, open, told] = [new Set<string>(), new Set<string>(), new Set<string>()];
  try {
    look(readXml(xml, root), false);
  } catch (error) {
    if (!new RegExp(`^<${root}\\b.*</${root}>\\s*$`, 's').test(xml)) throw error;
    const all = new Set(pathsInText(xml, pools));
    return { paths: all, open: all, told, unread: (error as Error).message.slice(0, 200) };
  }
  return { paths, open, told, unread: null };

  function look(element: XmlElement, isOfQemu: boolean, parent?: XmlElement): void {
    const { name, attributes, children } = element;
    if (WITHOUT_FILES.has(name) || (own !== undefined && isDisk(element, own))) return;
    const texts = children.filter((child) => typeof child === 'string');
    const isArgument = isOfQemu || name.startsWith('qemu:');
    const pathsIn = isArgument ? pathsOfArgument : pathOfText;
    const here = [...Object.values(attributes), ...texts].flatMap((text) => pathsIn(text.trim()));
    const volume = volumePath(attributes, pools);
    here.push(...(volume === null ? [] : [volume]));
    here.forEach((path) => paths.add(path));
    const kind = isArgument ? 'open' : kindOf(element, parent);
    if (kind !== 'raw') here.forEach((path) => (kind === 'open' ? open : told).add(path));
    for (const child of elementsIn(element)) look(child, isArgument, element);
  }
}

/** Whether a file that an element names stands on others, and whether the document tells which. */
function kindOf(element: XmlElement, parent?: XmlElement): 'raw' | 'open' | 'told' {
  if (element.name === 'loader' || element.name === 'nvram') {
    return isRaw(element.attributes['format']) ? 'raw' : 'open';
  }
  if (element.name !== 'source' || !parent || !LAYERS.has(parent.name)) return 'raw';
  const format = onlyOf(parent, parent.name === 'disk' ? 'driver' : 'format')?.attributes['type'];
  if (isRaw(format)) return 'raw';
  return elementsIn(parent).some(({ name }) => name === 'backingStore') ? 'told' : 'open';
}

const LAYERS = new Set(['disk', 'backingStore', 'mirror']);
/** libvirt takes what has no format for raw, and QEMU is told so. */
const isRaw = (format: string | undefined) => format === undefined || format === 'raw';

/** A domain's disk by its target, a snapshot's by its name. */
function isDisk(element: XmlElement, own: string): boolean {
  const { name, attributes } = element;
  if (name !== 'disk') return false;
  const isOfSnapshot = attributes['snapshot'] !== undefined;
  return (isOfSnapshot ? attributes['name'] : onlyOf(element, 'target')?.attributes['dev']) === own;
}

/** The file that a `<source>` of pool and volume means; null for another one. */
export function volumePath(
  { pool, volume }: Record<string, string | undefined>,
  pools: PoolFolders,
): string | null {
  const folder = pools.find(({ name }) => name === pool)?.folder;
  return folder && volume ? join(folder, volume) : null;
}

/** The file of a `<source>` as it is spelled there, null where it names none. */
export const sourceFile = (
  attributes: Record<string, string | undefined>,
  pools: PoolFolders,
): string | null => attributes['file'] ?? volumePath(attributes, pools);

const pathOfText = (text: string) => (text.startsWith('/') ? [text] : []);

/**
 * The paths in an argument of QEMU: `KEY=PATH,KEY=...` with commas doubled inside of a value, or
 * JSON. What follows a path may belong to it or not, so each end is tried.
 */
function pathsOfArgument(text: string): string[] {
  const starts = [...text.matchAll(/(?<![^,=:"'\s])\//g)].map(({ index }) => text.slice(index));
  return starts.flatMap((rest) => {
    const value = /^(?:,,|[^,])*/.exec(rest)?.[0].replaceAll(',,', ',') ?? rest;
    const quoted = [rest, value].map((part) => part.split(/["']/)[0] ?? '');
    return [rest, value, ...quoted, value.split(/["'\s]/)[0] ?? ''];
  });
}

const NAMED: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** Of a document, or of what is left of one. */
export function pathsInText(xml: string, pools: PoolFolders): string[] {
  const decoded = (text: string) =>
    text.replaceAll(/&(\w+);/g, (all, name: string) => NAMED[name] ?? all);
  const attribute = (element: string, name: string) =>
    decoded(new RegExp(`\\s${name}=(["'])(.*?)\\1`).exec(element)?.[2] ?? '');
  const sources = xml.match(/<source\s[^>]*>/g) ?? [];
  const volumes = sources.map((source) => {
    const named = { pool: attribute(source, 'pool'), volume: attribute(source, 'volume') };
    return volumePath(named, pools);
  });
  const texts = xml.split(/[<>"'\n]/).map((text) => decoded(text.trim()));
  const paths = texts.filter((text) => text.includes('/')).flatMap(pathsOfArgument);
  return [...paths, ...volumes.filter((path) => path !== null)];
}
