/** Random disks by libvirt's own schema, and what libvirt finds in what became of them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { execa } from 'execa';
import fc from 'fast-check';
import {
  diskElement,
  fileOf,
  layersOf,
  oddElements,
} from '../../../activities/adapters/libvirt-xml/disk-element.ts';
import {
  elementsIn,
  onlyOf,
  writeXml,
  type XmlElement,
} from '../../../activities/adapters/libvirt-xml/xml.ts';
import { seed } from '../sample.ts';
import { POOLS, randomDisk } from './random-disk.ts';

/** A domain with this disk alone, whose name and UUID end with the number. */
const domain = (disk: string, number: number) => {
  const uuid = `6f0e9a4c-1111-4222-8333-${String(number).padStart(12, '0')}`;
  const devices = `<devices>${disk}</devices>`;
  const settings = '<memory>1024</memory><os><type>hvm</type></os>';
  const name = `<name>vm${number}</name><uuid>${uuid}</uuid>`;
  return `<domain type='test'>${name}${settings}${devices}</domain>`;
};

/** Children of a disk that belong to its active layer. */
const LAYER = ['encryption'];
const isCache = ({ name }: XmlElement) => name === 'metadata_cache';

/** What libvirt finds in a disk, without the order of elements. */
export interface Found {
  /** All that no layer owns. */
  rest: string[];
  driver: Record<string, string | undefined>;
  layers: Layer[];
}
export interface Layer {
  file: string | null;
  format: string;
  more: string[];
}

function found(dumped: string): Found {
  const disk = diskElement(dumped, 'vda');
  const texts = (elements: readonly XmlElement[]) => elements.map(bare).sort();
  const isLayers = (name: string) => ['driver', 'source', 'backingStore'].includes(name);
  const owned = elementsIn(disk).filter(({ name }) => LAYER.includes(name));
  const { type, ...driver } = onlyOf(disk, 'driver')?.attributes ?? {};
  const { startupPolicy } = onlyOf(disk, 'source')?.attributes ?? {};
  const rest = elementsIn(disk).filter(({ name }) => !isLayers(name) && !LAYER.includes(name));
  return {
    // With the cache of the active layer, which stays with the disk.
    rest: texts([...rest, ...elementsIn(onlyOf(disk, 'driver') ?? disk).filter(isCache)]),
    driver: { ...driver, name: 'qemu', startupPolicy },
    layers: layersOf(disk).map((layer) => {
      const format = onlyOf(layer, layer === disk ? 'driver' : 'format');
      return {
        file: fileOf(layer, POOLS),
        format: format?.attributes['type'] ?? 'raw',
        more: texts([
          ...elementsIn(onlyOf(layer, 'source') as XmlElement),
          ...(layer === disk ? owned : elementsIn(format as XmlElement)),
        ]),
      };
    }),
  };
}
/** Without blanks between elements. */
const bare = (element: XmlElement) => writeXml(element).replaceAll(/>\s+</g, '><');

/** Whether the headers say all that these layers are. */
export const isPlain = (layers: readonly Layer[]) => layers.every(({ more }) => more.length === 0);

/** By the name of its VM, each document as libvirt writes it when it takes it. */
async function throughLibvirt(documents: readonly string[]): Promise<Map<string, string>> {
  const folder = await mkdtemp(join(tmpdir(), 'blockflow-schema-'));
  const paths = documents.map((_, at) => join(folder, `${at}.xml`));
  await Promise.all(paths.map((path, at) => writeFile(path, documents[at] ?? '')));
  // A libvirt within virsh's own process, which has no VMs but for what it is told.
  const commands = documents.flatMap((xml, at) => [
    `define ${paths[at]}`,
    `dumpxml --inactive ${nameIn(xml)}`,
  ]);
  const virsh = ['-q', '-c', 'test:///default'];
  const { stdout } = await execa('virsh', virsh, {
    reject: false,
    input: `${commands.join('\n')}\n`,
    env: { LC_ALL: 'C' },
  });
  await rm(folder, { recursive: true });
  return new Map([...stdout.matchAll(DOMAIN)].map(([text]) => [nameIn(text), text]));
}
const DOMAIN = /<domain .*?<\/domain>/gs;
const nameIn = (xml: string) => /<name>(.*?)<.name>/.exec(xml)?.[1] ?? '';

const RUNS = Number(process.env['BLOCKFLOW_RUNS'] ?? 200);

interface Accepted {
  dumped: string;
  before: Found;
}

/** Random disks that libvirt takes and blockflow does not refuse, as libvirt writes them. */
async function findAccepted(): Promise<Accepted[]> {
  const disks = fc.sample(randomDisk, { numRuns: RUNS, seed });
  const dumped = await throughLibvirt(disks.map((disk, at) => domain(writeXml(disk), at)));
  const accepted = [...dumped.values()]
    .filter((xml) => oddElements(diskElement(xml, 'vda')).length === 0)
    .map((xml) => ({ dumped: xml, before: found(xml) }));
  expect(accepted.length).toBeGreaterThan(RUNS / 4);
  return accepted;
}
let known: Promise<Accepted[]> | undefined;

interface Rewritten {
  xml: string;
  /** What libvirt must find in it. */
  expected: Found;
}

/** Libvirt must take each document, and find in it what is expected. */
export async function expectFound(
  rewrite: (disk: Accepted) => Rewritten | readonly Rewritten[] | null,
): Promise<void> {
  known ??= findAccepted();
  const rewritten = (await known).flatMap((disk) => rewrite(disk) ?? []);
  const named = rewritten.map(({ xml }, at) => withNumber(xml, at));
  const dumped = await throughLibvirt(named);
  for (const [at, { expected }] of rewritten.entries()) {
    const xml = named[at] ?? '';
    const after = dumped.get(nameIn(xml));
    if (after === undefined) throw new Error(`libvirt refuses ${xml}`);
    expect({ xml, found: found(after) }).toEqual({ xml, found: expected });
  }
  expect(rewritten.length).toBeGreaterThan(RUNS / 20);
}

/** One disk may be rewritten in several ways. */
const withNumber = (xml: string, at: number) =>
  xml
    .replace(/<name>vm\d+</, `<name>vm${at}<`)
    .replace(/-\d{12}<\/uuid>/, `-${String(at).padStart(12, '0')}</uuid>`);

export const renamed = (layers: readonly Layer[]) =>
  layers.map((layer) => ({ ...layer, file: `/new${layer.file}` }));

export const uncached = (texts: string[]) => texts.filter((text) => !text.includes('_cache'));
/** A layer that becomes the active one leaves its own cache to that of the disk. */
export const asActive = (layer: Layer): Layer => ({ ...layer, more: uncached(layer.more) });
/** Where a raw layer becomes the active one. */
export const withoutCache = (found: Found, format: string): Found =>
  format === 'qcow2' ? found : { ...found, rest: uncached(found.rest) };
