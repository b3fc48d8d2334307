/**
 * Reads what blockflow needs from a libvirt domain's XML. Nothing past this file sees raw XML of a
 * domain.
 */
import { unexpected } from '../reply.ts';
import { cacheOf, oddElements, qcow2Only } from './disk-element.ts';
import { volumePath, type PoolFolders } from './named-files.ts';
import {
  allOf,
  createElement,
  isPlain,
  onlyOf,
  readXml,
  textOf,
  writeXml,
  type XmlElement,
} from './xml.ts';

export interface XmlVolume {
  path: string;
  format: string;
  /** Of a raw file (LUKS) the header that `qemu-img info -f raw` reads does not tell. */
  encrypted: boolean;
  index: number | null;
}

export interface XmlDisk {
  target: string;
  device: string;
  /** Base-most first. Empty when the source is no local file or block device. */
  chain: XmlVolume[];
  /** True when the chain ends where it says; else what is below is in the headers. */
  terminated: boolean;
  /** Of the active layer. blockflow drives `file`, and `volume` where a pool's folder has it. */
  type: string;
  readOnly: boolean;
  shareable: boolean;
  transient: boolean;
  /** QEMU has a filter of libvirt's above its active layer. */
  copyOnRead: boolean;
  /** What its sources have that changes what the bytes of a file mean; blockflow knows none. */
  oddElements: string[];
  /** The `<metadata_cache>` of its active layer as text, which another one may take over. */
  cache: string | null;
  /** How QEMU opens its volumes (`none`, `directsync`, …); null for QEMU's default. */
  cacheMode: string | null;
  /** What a raw active layer cannot have, of its driver. */
  qcow2Only: string[];
  mirror: XmlMirror | null;
}

export interface XmlMirror {
  /** `copy` or `active-commit`; empty for a moment, in which libvirt begins the job. */
  job: string;
  ready: boolean;
  /** What libvirt has asked QEMU for: it stays when libvirtd dies before it notes the end. */
  ending: 'pivot' | 'abort' | null;
  path: string;
}

export interface XmlDomain {
  name: string;
  uuid: string;
  /** Its path. */
  emulator: string | null;
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
  vmUuid?: string | undefined;
}
type Text<T> = { [K in keyof T]: T[K] extends string ? string | undefined : Text<T[K]> };
/** The same as it was read: any of it may be missing. */
export type XmlRecord = Text<RecordFields>;

const wrong = (why: string) => unexpected('libvirt for a domain', why);

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
  const domain = onlyOf(readXml(xml, 'domain'), 'domain');
  const name = textOf(onlyOf(domain, 'name'));
  const uuid = textOf(onlyOf(domain, 'uuid'));
  if (!name) throw wrong('it has no name of its own');
  if (!uuid) throw wrong(`${name} has no UUID of its own`);
  const devices = onlyOf(domain, 'devices');
  if (!devices) throw wrong(`${name} has no devices`);
  const disks = allOf(devices, 'disk').map((disk) => parseDisk(disk, pools));
  const twice = disks.find(({ target }, at) => disks.findIndex((d) => d.target === target) !== at);
  if (twice) throw wrong(`${name} has two disks ${twice.target}`);
  return {
    name,
    uuid,
    emulator: textOf(onlyOf(devices, 'emulator')) || null,
    disks,
    records: allOf(onlyOf(domain, 'metadata'), 'blockflow:job').map(parseRecord),
  };
}

function parseDisk(disk: XmlElement, pools: PoolFolders): XmlDisk {
  const { type = 'file', device = 'disk' } = disk.attributes;
  const target = onlyOf(disk, 'target')?.attributes['dev'];
  if (!target) throw wrong('a disk has no target');
  const driver = onlyOf(disk, 'driver')?.attributes ?? {};
  const format = driver['type'] ?? 'raw';
  const has = (name: string) => allOf(disk, name).length > 0;
  return {
    target,
    device,
    type,
    chain: parseChain(disk, { type, format }, pools).reverse(),
    terminated: isTerminated(disk),
    readOnly: has('readonly'),
    shareable: has('shareable'),
    transient: has('transient'),
    copyOnRead: driver['copy_on_read'] === 'on',
    oddElements: oddElements(disk),
    cache: cacheOf(disk),
    cacheMode: driver['cache'] ?? null,
    qcow2Only: qcow2Only(disk),
    mirror: parseMirror(onlyOf(disk, 'mirror'), pools),
  };
}

function parseMirror(mirror: XmlElement | null, pools: PoolFolders): XmlDisk['mirror'] {
  if (!mirror) return null;
  const { type, ready: now = 'no', job = 'copy' } = mirror.attributes;
  const path = sourcePath(mirror, pools);
  if (path === null && isLocal(type)) throw wrong('a mirror has no source');
  const states = ['yes', 'no', 'abort', 'pivot'];
  const ready = word(now, states, 'ready of a mirror');
  return {
    job: word(job, ['', 'copy', 'active-commit'], 'the job of a mirror'),
    ready: ready === 'yes',
    ending: ready === 'pivot' || ready === 'abort' ? ready : null,
    path: path ?? '',
  };
}

const isLocal = (type: string | undefined) => type === 'file' || type === 'block';

function sourcePath(parent: XmlElement, pools: PoolFolders): string | null {
  const source = onlyOf(parent, 'source')?.attributes ?? {};
  return source['file'] ?? source['dev'] ?? volumePath(source, pools);
}

interface Layer {
  type: string | undefined;
  format: string;
}

function parseChain(layer: XmlElement, { type, format }: Layer, pools: PoolFolders): XmlVolume[] {
  const path = sourcePath(layer, pools);
  const below = onlyOf(layer, 'backingStore');
  if (path === null) {
    // An empty drive has neither; a layer without its source must not look like the chain's end.
    if (below && !isPlain(below) && isLocal(type)) throw wrong('a layer has no source');
    return [];
  }
  const lowerType = below?.attributes['type'];
  const lowerFormat = onlyOf(below, 'format')?.attributes['type'] ?? '';
  const lower = below ? parseChain(below, { type: lowerType, format: lowerFormat }, pools) : [];
  if (below && !isPlain(below) && lower.length === 0 && isLocal(lowerType))
    throw wrong(`no file is below ${path}`);
  return [{ path, format, encrypted: isEncrypted(layer), index: parseIndex(layer) }, ...lower];
}

/** libvirt takes it beside the source of the active layer, too. */
const isEncrypted = (layer: XmlElement) =>
  [layer, onlyOf(layer, 'source')].some((place) => onlyOf(place, 'encryption') !== null);

function parseIndex(layer: XmlElement): number | null {
  const index = onlyOf(layer, 'source')?.attributes['index'] ?? layer.attributes['index'];
  if (index === undefined) return null;
  if (!/^\d{1,9}$/.test(index)) throw wrong(`the index of a layer is ${index}`);
  return Number(index);
}

/** An empty `<backingStore/>` below the last layer: libvirt looks for no more in its header. */
function isTerminated(layer: XmlElement): boolean {
  const below = onlyOf(layer, 'backingStore');
  return below !== null && (onlyOf(below, 'source') === null || isTerminated(below));
}

function parseRecord(job: XmlElement): XmlRecord {
  const { attributes: said } = job;
  return {
    jobId: said['id'],
    workflow: said['workflow'],
    disk: said['disk'],
    mode: said['mode'],
    phase: said['phase'],
    top: said['top'],
    base: said['base'],
    deletes: allOf(job, 'blockflow:volume').map(({ attributes: volume }) => ({
      path: volume['path'],
      pool: volume['pool'],
      identity: volume['identity'],
    })),
    vmUuid: said['vm'],
  };
}

/** The metadata element of a record; `parseDomain` gives the record back. */
export function buildRecord(record: RecordFields): string {
  const { jobId: id, workflow, disk, mode, phase, top, base, deletes, vmUuid } = record;
  const volumes = deletes.map(({ path, pool, identity }) =>
    createElement('volume', { path, pool, identity }),
  );
  const owner = vmUuid === undefined ? {} : { vm: vmUuid };
  const said = { id, ...owner, workflow, disk, mode, phase, top, base };
  return writeXml(createElement('job', said, volumes));
}

/** The variables of its firmware have a file of their own. */
export const hasNvram = (xml: string): boolean => /<nvram[\s>/]/.test(xml);
export const hasEmulatedTpm = (xml: string): boolean => /<backend[^>]* type='emulator'/.test(xml);
