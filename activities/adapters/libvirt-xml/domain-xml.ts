/**
 * Reads what blockflow needs from a libvirt domain's XML. Nothing past this file sees raw XML of a
 * domain.
 */
import { unexpected } from '../reply.ts';
import { volumePath, type PoolFolders } from './named-files.ts';
import { createXmlBuilder, createXmlReader } from './xml.ts';

const arrays = new Set(['disk', 'blockflow:volume', 'blockflow:job']);
const read = createXmlReader({ isArray: (name) => arrays.has(name) });
const builder = createXmlBuilder();

export interface XmlVolume {
  path: string;
  format: string;
  index: number | null;
}

export interface XmlDisk {
  target: string;
  device: string;
  /** Base-most first. Empty when the source is no local file or block device. */
  chain: XmlVolume[];
  /** True when the chain ends where it says; else what is below is in the headers. */
  terminated: boolean;
  /** `file` or `block`; other types (network, volume, nvme) are not driven by blockflow. */
  type: string;
  readOnly: boolean;
  shareable: boolean;
  transient: boolean;
  mirror: { job: string; ready: boolean; path: string } | null;
}

export interface XmlDomain {
  name: string;
  uuid: string;
  disks: XmlDisk[];
  /** Ours in its metadata, as they are: another version may have written them. */
  records: XmlRecord[];
}

/** What the record of a job has, all of it text. */
export interface RecordFields {
  jobId: string;
  workflow: string;
  disk: string;
  mode: string;
  phase: string;
  top: string;
  base: string;
  deletes: readonly { path: string; pool: string; identity: string }[];
}
type Text<T> = { [K in keyof T]: T[K] extends string ? string | undefined : Text<T[K]> };
/** The same as it was read: any of it may be missing. */
export type XmlRecord = Text<RecordFields>;

type Node = Record<string, unknown> & { [attribute: `@${string}`]: string | undefined };
const node = (value: unknown): Node | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Node) : null;
const list = (value: unknown): Node[] =>
  Array.isArray(value) ? value.map(node).filter((v) => v !== null) : [];

const wrong = (why: string) => unexpected('libvirt for a domain', why);

/** The element of this name, null when there is none; @throws when it is there twice. */
function only(parent: Node | null, name: string): Node | null {
  const value = parent?.[name];
  if (Array.isArray(value)) throw wrong(`it has several <${name}>`);
  // An element without attributes and children comes as its text.
  return node(value) ?? (value === undefined ? null : {});
}

function word(value: string | undefined, known: readonly string[], what: string): string {
  if (value !== undefined && known.includes(value)) return value;
  throw wrong(`${what} is ${JSON.stringify(value)}, none of ${known.join(', ')}`);
}

/**
 * Parses one `<domain>` document.
 * @param pools where a layer of `type='volume'` has its file
 * @throws Retry `unexpected-reply` for anything else
 */
export function parseDomain(xml: string, pools: PoolFolders = []): XmlDomain {
  const domain = node((read(xml, 'domain') as Node)['domain']) ?? {};
  const { name, uuid } = domain as { name?: unknown; uuid?: unknown };
  if (typeof name !== 'string' || name === '') throw wrong('it has no name of its own');
  if (typeof uuid !== 'string' || uuid === '') throw wrong(`${name} has no UUID of its own`);
  const devices = only(domain, 'devices');
  if (!devices) throw wrong(`${name} has no devices`);
  const disks = list(devices['disk']).map((disk) => parseDisk(disk, pools));
  const twice = disks.find(({ target }, at) => disks.findIndex((d) => d.target === target) !== at);
  if (twice) throw wrong(`${name} has two disks ${twice.target}`);
  return {
    name,
    uuid,
    disks,
    records: list(only(domain, 'metadata')?.['blockflow:job']).map(parseRecord),
  };
}

function parseDisk(disk: Node, pools: PoolFolders): XmlDisk {
  const target = only(disk, 'target')?.['@dev'];
  if (!target) throw wrong('a disk has no target');
  const type = disk['@type'] ?? 'file';
  const format = only(disk, 'driver')?.['@type'] ?? 'raw';
  return {
    target,
    device: disk['@device'] ?? 'disk',
    type,
    chain: parseChain(disk, { type, format }, pools).reverse(),
    terminated: isTerminated(disk),
    readOnly: 'readonly' in disk,
    shareable: 'shareable' in disk,
    transient: 'transient' in disk,
    mirror: parseMirror(only(disk, 'mirror'), pools),
  };
}

function parseMirror(mirror: Node | null, pools: PoolFolders): XmlDisk['mirror'] {
  if (!mirror) return null;
  const path = sourcePath(mirror, pools);
  if (path === null && isLocal(mirror['@type'])) throw wrong('a mirror has no source');
  const states = ['yes', 'no', 'abort', 'pivot'];
  const ready = word(mirror['@ready'] ?? 'no', states, 'ready of a mirror');
  return {
    job: word(mirror['@job'] ?? 'copy', ['copy', 'active-commit'], 'the job of a mirror'),
    ready: ready === 'yes',
    path: path ?? '',
  };
}

const isLocal = (type: string | undefined) => type === 'file' || type === 'block';

function sourcePath(parent: Node, pools: PoolFolders): string | null {
  const source = only(parent, 'source');
  return source?.['@file'] ?? source?.['@dev'] ?? volumePath(source ?? {}, pools);
}

interface Layer {
  type: string | undefined;
  format: string;
}

function parseChain(layer: Node, { type, format }: Layer, pools: PoolFolders): XmlVolume[] {
  const path = sourcePath(layer, pools);
  const below = only(layer, 'backingStore');
  if (path === null) {
    // An empty drive has neither; a layer without its source must not look like the chain's end.
    const isLost = below && Object.keys(below).length > 0 && isLocal(type);
    if (isLost) throw wrong('a layer has no source');
    return [];
  }
  const lowerType = below?.['@type'];
  const lowerFormat = below && (only(below, 'format')?.['@type'] ?? '');
  const lower = below
    ? parseChain(below, { type: lowerType, format: lowerFormat ?? '' }, pools)
    : [];
  const isEnd = !below || Object.keys(below).every((key) => key === '#text');
  if (!isEnd && lower.length === 0 && isLocal(lowerType)) throw wrong(`no file is below ${path}`);
  return [{ path, format, index: parseIndex(layer) }, ...lower];
}

function parseIndex(layer: Node): number | null {
  const index = only(layer, 'source')?.['@index'] ?? layer['@index'];
  if (index === undefined) return null;
  if (!/^\d{1,9}$/.test(index)) throw wrong(`the index of a layer is ${index}`);
  return Number(index);
}

/** An empty `<backingStore/>` below the last layer: libvirt looks for no more in its header. */
function isTerminated(layer: Node): boolean {
  const below = node(layer['backingStore']);
  if (below && 'source' in below) return isTerminated(below);
  return 'backingStore' in layer;
}

function parseRecord(job: Node): XmlRecord {
  return {
    jobId: job['@id'],
    workflow: job['@workflow'],
    disk: job['@disk'],
    mode: job['@mode'],
    phase: job['@phase'],
    top: job['@top'],
    base: job['@base'],
    deletes: list(job['blockflow:volume']).map((v) => ({
      path: v['@path'],
      pool: v['@pool'],
      identity: v['@identity'],
    })),
  };
}

/** The metadata element of a record; `parseDomain` gives the record back. */
export function buildRecord(record: RecordFields): string {
  const element: unknown = builder.build({
    job: {
      '@id': record.jobId,
      '@workflow': record.workflow,
      '@disk': record.disk,
      '@mode': record.mode,
      '@phase': record.phase,
      '@top': record.top,
      '@base': record.base,
      volume: record.deletes.map((v) => ({
        '@path': v.path,
        '@pool': v.pool,
        '@identity': v.identity,
      })),
    },
  });
  return String(element);
}
