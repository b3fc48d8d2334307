/**
 * Random disks by libvirt's own schema go through every rewrite of a disk, and libvirt itself finds
 * the same disk afterwards, but for what was asked.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import fc from 'fast-check';
import {
  diskElement,
  fileOf,
  layersOf,
  oddElements,
  switchDiskSource,
} from '../../../activities/adapters/libvirt-xml/disk-element.ts';
import {
  withActiveLayers,
  withoutOverlays,
  withOverlays,
} from '../../../activities/adapters/libvirt-xml/overlaid.ts';
import {
  parseSnapshot,
  renameSources,
  rewriteSnapshot,
} from '../../../activities/adapters/libvirt-xml/snapshot-xml.ts';
import {
  elementsIn,
  onlyOf,
  readXml,
  writeXml,
  type XmlElement,
} from '../../../activities/adapters/libvirt-xml/xml.ts';
import { POOLS, randomDisk } from '../../support/schema/random-disk.ts';
import { seed } from '../../support/sample.ts';

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
interface Found {
  /** All that no layer owns. */
  rest: string[];
  driver: Record<string, string | undefined>;
  layers: Layer[];
}
interface Layer {
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
const isPlain = (layers: readonly Layer[]) => layers.every(({ more }) => more.length === 0);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-schema-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** By the name of its VM, each document as libvirt writes it when it takes it. */
async function throughLibvirt(documents: readonly string[]): Promise<Map<string, string>> {
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
let accepted: Accepted[];
beforeAll(async () => {
  const disks = fc.sample(randomDisk, { numRuns: RUNS, seed });
  const dumped = await throughLibvirt(disks.map((disk, at) => domain(writeXml(disk), at)));
  accepted = [...dumped.values()]
    .filter((xml) => oddElements(diskElement(xml, 'vda')).length === 0)
    .map((xml) => ({ dumped: xml, before: found(xml) }));
  expect(accepted.length).toBeGreaterThan(RUNS / 4);
});

interface Rewritten {
  xml: string;
  /** What libvirt must find in it. */
  expected: Found;
}

/** Libvirt must take each document, and find in it what is expected. */
async function expectFound(rewrite: (disk: Accepted) => Rewritten | null): Promise<void> {
  const rewritten = accepted.flatMap((disk) => rewrite(disk) ?? []);
  const dumped = await throughLibvirt(rewritten.map(({ xml }) => xml));
  for (const { xml, expected } of rewritten) {
    const after = dumped.get(nameIn(xml));
    if (after === undefined) throw new Error(`libvirt refuses ${xml}`);
    expect({ xml, found: found(after) }).toEqual({ xml, found: expected });
  }
  expect(rewritten.length).toBeGreaterThan(RUNS / 20);
}

const withDisk = (dumped: string, disk: string) => dumped.replace(/<disk .*<\/disk>/s, () => disk);

/** With these layers; those below the active one are not written where headers tell them. */
function withLayers(
  before: Found,
  layers: readonly (Layer | undefined)[],
  below: readonly Layer[],
) {
  const known = layers.filter((layer) => layer !== undefined);
  return { ...before, layers: isPlain(below) ? known.slice(0, 1) : known };
}

const renamed = (layers: readonly Layer[]) =>
  layers.map((layer) => ({ ...layer, file: `/new${layer.file}` }));

const uncached = (texts: string[]) => texts.filter((text) => !text.includes('_cache'));
/** A layer that becomes the active one leaves its own cache to that of the disk. */
const asActive = (layer: Layer): Layer => ({ ...layer, more: uncached(layer.more) });
/** Where a raw layer becomes the active one. */
const withoutCache = (found: Found, format: string): Found =>
  format === 'qcow2' ? found : { ...found, rest: uncached(found.rest) };

describe('a random disk', () => {
  it('is the same after it was read and written', () =>
    expectFound(({ dumped, before }) => ({
      xml: writeXml(readXml(dumped, 'domain')),
      expected: before,
    })));

  it('has new names after a move, and all else of each layer', () =>
    expectFound(({ dumped, before }) => {
      const names = new Map(before.layers.map(({ file }) => [file ?? '', `/new${file}`]));
      const [active, ...below] = renamed(before.layers);
      const to = { path: active?.file ?? '', format: active?.format ?? '' };
      const moved = switchDiskSource(diskElement(dumped, 'vda'), { to, names, pools: POOLS });
      return {
        xml: withDisk(dumped, moved ?? ''),
        expected: withLayers(withoutCache(before, to.format), [active, ...below], below),
      };
    }));

  it('is what the layer below was after a merge of its active layer', () =>
    expectFound(({ dumped, before }) => {
      const [top, base, ...below] = before.layers;
      if (!top || !base) return null;
      const to = { path: base.file ?? '', format: base.format };
      const change = { to, names: new Map([[top.file ?? '', null]]), pools: POOLS };
      const merged = switchDiskSource(diskElement(dumped, 'vda'), change);
      return {
        xml: withDisk(dumped, merged ?? ''),
        expected: withLayers(withoutCache(before, to.format), [asActive(base), ...below], below),
      };
    }));

  const overlay = { file: '/pool/overlay', format: 'qcow2', more: [] };
  const layered = ({ layers: [active] }: Found) => [
    {
      disk: 'vda',
      base: { path: active?.file ?? '', format: active?.format ?? '' },
      overlay: overlay.file,
    },
  ];

  it('has another active layer after a snapshot', () =>
    expectFound(({ dumped, before }) => ({
      xml: withOverlays(dumped, layered(before), POOLS),
      expected: withLayers(before, [overlay, ...before.layers], before.layers),
    })));

  it('is as it was when that is taken back', () =>
    expectFound(({ dumped, before }) => {
      const taken = withOverlays(dumped, layered(before), POOLS);
      return {
        xml: writeXml(withoutOverlays(taken, layered(before), POOLS)),
        expected: withLayers(before, before.layers, before.layers),
      };
    }));

  it('has another active layer after a revert, unless a layer is more than a name', () =>
    expectFound(({ dumped, before }) => {
      const active = [{ disk: 'vda', path: '/pool/new', format: 'qcow2' }];
      const revert = () => withActiveLayers(dumped, active, POOLS);
      if (!isPlain(before.layers)) {
        expect(revert).toThrow(/more than a name/);
        return null;
      }
      const layers = [{ file: '/pool/new', format: 'qcow2', more: [] }];
      return { xml: revert(), expected: { ...before, layers } };
    }));
});

describe.each(['domain', 'inactiveDomain'])('a random disk in the %s of a snapshot', (name) => {
  const record = (dumped: string) => {
    const inside = dumped.replace(/^<domain/, `<${name}`).replace(/domain>$/, `${name}>`);
    const disks = '<disks><disk name="vda" snapshot="no"/></disks>';
    return parseSnapshot(`<domainsnapshot><name>s</name>${disks}${inside}</domainsnapshot>`, POOLS);
  };
  const domainIn = (xml: string) =>
    xml
      .replace(new RegExp(`^.*<${name}`, 's'), '<domain')
      .replace(new RegExp(`</${name}>.*$`, 's'), '</domain>');

  it('has new names after a move, and all else of each layer', () =>
    expectFound(({ dumped, before }) => {
      const names = new Map(before.layers.map(({ file }) => [file ?? '', `/new${file}`]));
      return {
        xml: domainIn(renameSources(record(dumped), names)),
        expected: { ...before, layers: renamed(before.layers) },
      };
    }));

  it('has the layers that are left after a merge', () =>
    expectFound(({ dumped, before }) => {
      const [top, base, ...below] = before.layers;
      if (!top || !base) return null;
      const into = { path: base.file ?? '', format: base.format };
      const xml = rewriteSnapshot(record(dumped), new Set([top.file ?? '']), into);
      return {
        xml: domainIn(xml),
        expected: { ...before, layers: [asActive(base), ...below] },
      };
    }));
});
