/**
 * Reads what blockflow needs from a libvirt domain's XML. Nothing past this file sees raw XML of a
 * domain.
 */
import { XMLBuilder, XMLParser } from 'fast-xml-parser';
import { jobRecord, type JobRecord } from '../../workflows/schemas.ts';

const arrays = new Set(['disk', 'blockflow:volume', 'blockflow:job']);
const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseAttributeValue: false,
  parseTagValue: false,
  // A name may end in a blank.
  trimValues: false,
  isArray: (name) => arrays.has(name),
});
const builder = new XMLBuilder({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  suppressEmptyNode: true,
});

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
  records: JobRecord[];
  /** Records of ours that this version cannot read, as text. */
  unreadableRecords: string[];
}

type Node = Record<string, unknown> & { [attribute: `@${string}`]: string | undefined };
const node = (value: unknown): Node | null =>
  typeof value === 'object' && value !== null ? (value as Node) : null;
const list = (value: unknown): Node[] =>
  Array.isArray(value) ? value.map(node).filter((v) => v !== null) : [];

/** Parses one `<domain>` document. */
export function parseDomain(xml: string): XmlDomain {
  const domain = node((parser.parse(xml) as Node)['domain']) ?? {};
  const devices = node(domain['devices']);
  const jobs = list(node(domain['metadata'])?.['blockflow:job']).map(parseRecord);
  return {
    name: String(domain['name']),
    uuid: String(domain['uuid']),
    disks: list(devices?.['disk']).map(parseDisk),
    records: jobs.flatMap((job) => (typeof job === 'string' ? [] : [job])),
    unreadableRecords: jobs.flatMap((job) => (typeof job === 'string' ? [job] : [])),
  };
}

function parseDisk(disk: Node): XmlDisk {
  const mirror = node(disk['mirror']);
  return {
    target: node(disk['target'])?.['@dev'] ?? '',
    device: disk['@device'] ?? 'disk',
    type: disk['@type'] ?? 'file',
    chain: parseChain(disk, node(disk['driver'])?.['@type'] ?? 'raw').reverse(),
    terminated: isTerminated(disk),
    readOnly: 'readonly' in disk,
    shareable: 'shareable' in disk,
    transient: 'transient' in disk,
    mirror: mirror && {
      job: mirror['@job'] ?? 'copy',
      ready: mirror['@ready'] === 'yes',
      path: sourcePath(mirror) ?? '',
    },
  };
}

function sourcePath(parent: Node): string | null {
  const source = node(parent['source']);
  return source?.['@file'] ?? source?.['@dev'] ?? null;
}

function parseChain(layer: Node, format: string): XmlVolume[] {
  const path = sourcePath(layer);
  if (path === null) return [];
  const index = node(layer['source'])?.['@index'] ?? layer['@index'];
  const below = node(layer['backingStore']);
  const belowFormat = node(below?.['format'])?.['@type'] ?? '';
  return [
    { path, format, index: index === undefined ? null : Number(index) },
    ...(below ? parseChain(below, belowFormat) : []),
  ];
}

/** An empty `<backingStore/>` below the last layer: libvirt looks for no more in its header. */
function isTerminated(layer: Node): boolean {
  const below = node(layer['backingStore']);
  if (below && sourcePath(below) !== null) return isTerminated(below);
  return 'backingStore' in layer;
}

function parseRecord(job: Node): JobRecord | string {
  const parsed = jobRecord.safeParse({
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
  });
  return parsed.success ? parsed.data : builder.build({ job }).trim();
}

/** The metadata element of a record; `parseDomain` gives the record back. */
export function buildRecord(record: JobRecord): string {
  return builder.build({
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
}

/** Every local file or device that a domain or snapshot document names as a disk source. */
export function sourcesNamed(xml: string): string[] {
  const paths: string[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(visit);
    const element = node(value);
    if (!element) return;
    const path = sourcePath(element);
    if (path) paths.push(path);
    Object.values(element).forEach(visit);
  };
  visit(parser.parse(xml));
  return paths;
}
