/** The chain as the headers on storage have it. */
import { dirname } from 'node:path';
import { refused } from '../../../workflows/operation/failures.ts';
import { VOLUME_PATH } from '../../../workflows/operation/names.ts';
import type { DiskRef } from '../../../workflows/chain/references.ts';
import type { XmlDisk } from '../../adapters/libvirt-xml/domain-xml.ts';
import { canonical, observeFile } from '../../adapters/files/files.ts';
import { nameFrom } from '../../adapters/files/paths.ts';
import { hasProtocol } from '../../adapters/qemu-img/qcow2-header.ts';
import { readHeader, type ImageHeader } from '../../adapters/qemu-img/qemu-img.ts';

export interface LayerHeader extends ImageHeader {
  /** The name by which QEMU opens the file, from whose folder a relative backing name counts. */
  openedAs: string;
}

/** Its storage may be unavailable; a caller that knows so reports that instead. */
export class LayerMissing extends Error {
  readonly path: string;

  /** @param overlay what stands on it; null for the active layer */
  constructor(path: string, overlay: string | null) {
    const what = overlay === null ? 'the active layer' : `the backing file of ${overlay}`;
    super(`${path}, ${what}, does not exist`);
    this.path = path;
  }
}

/**
 * Walks the headers from the active layer down. Paths with links resolved, base-most first; but a
 * relative name counts from the folder of the name that QEMU was given, as in QEMU.
 * @param kept the same disk in the persistent XML: what either calls encrypted is
 * @throws LayerMissing
 */
export async function readHeaderChain(
  ref: DiskRef,
  disk: XmlDisk,
  kept?: XmlDisk,
): Promise<Map<string, LayerHeader>> {
  const locked = await encryptedIn([disk, ...(kept ? [kept] : [])]);
  // The XML names the layers that are probably there: reading them at once saves one process start
  // a layer.
  const early = new Map<string, Promise<ImageHeader>>();
  for (const { path, format } of disk.chain) {
    if (isFormat(format)) early.set(`${format} ${path}`, readHeader(path, format));
  }
  for (const promise of early.values()) promise.catch(() => undefined);
  const found: [string, LayerHeader][] = [];
  const seen = new Set<string>();
  let next = activeLayer(ref, disk);
  if (next && !(await observeFile(next.path))) throw new LayerMissing(next.path, null);
  while (next) {
    const { path, format } = next;
    const header = await (early.get(`${format} ${path}`) ?? readHeader(path, format));
    if (header.externalDataFile) throw unsupported(ref, path, 'its data is in an external file');
    const real = await canonical(path);
    if (!VOLUME_PATH.test(real)) throw unsupported(ref, JSON.stringify(real), ODD_NAME, RENAME);
    if (seen.has(real)) throw unsupported(ref, path, 'its backing files form a loop');
    seen.add(real);
    const encrypted = header.encrypted || locked.has(real);
    found.unshift([real, { ...header, encrypted, openedAs: path }]);
    next = layerBelow(ref, path, header);
    if (next && !(await observeFile(next.path))) throw new LayerMissing(next.path, path);
  }
  return new Map(found);
}

const ODD_NAME = 'its name has control characters';
const RENAME = 'Rename the file while the VM is down, and the backing file of the layer above it';

/** Paths with links resolved. */
async function encryptedIn(disks: readonly XmlDisk[]): Promise<ReadonlySet<string>> {
  const layers = disks.flatMap(({ chain }) => chain).filter(({ encrypted }) => encrypted);
  return new Set(await Promise.all(layers.map(({ path }) => canonical(path))));
}

interface Layer {
  path: string;
  format: 'qcow2' | 'raw';
}
const isFormat = (format: string | null): format is Layer['format'] =>
  format === 'qcow2' || format === 'raw';

function activeLayer(ref: DiskRef, disk: XmlDisk): Layer | null {
  const active = disk.chain.at(-1);
  if (!active || !isFormat(active.format)) {
    throw unsupported(ref, active?.path ?? '', `its format is ${active?.format ?? 'unknown'}`);
  }
  return { path: active.path, format: active.format };
}

function layerBelow(ref: DiskRef, path: string, header: ImageHeader): Layer | null {
  if (header.backingName === null) return null;
  const name = withoutProtocol(header.backingName);
  if (hasProtocol(name)) throw unsupported(ref, path, `its backing file is ${name}`);
  const format = header.backingFormat;
  if (!isFormat(format)) {
    throw unsupported(ref, path, `its header names backing format ${format ?? '(none)'}`);
  }
  return { path: nameFrom(dirname(path), name), format };
}

/** Of a local file. */
export const withoutProtocol = (name: string) => name.replace(/^file:/, '');

const FORMATS = 'blockflow drives chains of qcow2 and raw files whose headers name their formats';

export function unsupported(ref: DiskRef, what: string, why: string, next = FORMATS) {
  return refused('unsupported-format', {
    attempted: `reading the chain of ${ref.vm}/${ref.disk}`,
    now: `${what} cannot be used: ${why}`,
    next,
  });
}
