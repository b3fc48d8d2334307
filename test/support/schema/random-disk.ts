/** Random disks by libvirt's schema, as far as they are disks of files. */
import fc from 'fast-check';
import {
  createElement,
  elementsIn,
  onlyOf,
  visit,
  type XmlElement,
} from '../../../activities/adapters/libvirt-xml/xml.ts';
import { randomXml } from './random-xml.ts';

export const POOLS = [{ name: 'images', folder: '/pool' }];
const SECRET = '0d4e2a7c-56a4-4f0e-9f3a-0b8a1d3f6c11';
const files = ['domaincommon', 'basictypes', 'storagecommon', 'privatedata', 'domainoverrides'];
const numbered = (prefix: string) => fc.nat({ max: 999_999 }).map((n) => `${prefix}${n}`);

/** Disks of files and volumes: others are refused when the operation is planned. */
const schemaDisk = randomXml(
  { files: files.map((file) => `${file}.rng`), definition: 'disk' },
  {
    ...Object.fromEntries(
      ['Block', 'Dir', 'Network', 'Nvme', 'VhostUser'].map((kind) => [
        `diskSource${kind}`,
        'never',
      ]),
    ),
    vmwarePath: 'never',
    diskAuth: 'never',
    sgIO: 'never',
    absFilePath: numbered('/pool/'),
    volName: numbered('v'),
    objectName: fc.constant('images'),
    UUID: fc.constant(SECRET),
    storageFormat: fc.constantFrom('qcow2', 'raw'),
    storageFormatBacking: fc.constantFrom('qcow2', 'raw'),
  },
);

/** Elements that libvirt refuses with others, or takes for a running VM only. */
const OTHERS = ['address', 'mirror', 'target', 'iotune', 'blockio', 'geometry', 'alias', 'boot'];

/** What libvirt takes as a disk `vda` of virtio, with a file of its own for each layer. */
function settled(disk: XmlElement): XmlElement {
  let depth = 0;
  for (let at: XmlElement | null = disk; at; at = lowerOf(at)) {
    depth += 1;
    const isVolume = at.attributes['type'] === 'volume';
    let source = onlyOf(at, 'source');
    if (!source) at.children.push((source = createElement('source', {})));
    const { mode, startupPolicy } = source.attributes;
    const own = isVolume ? { pool: 'images', volume: `v${depth}` } : { file: `/pool/${depth}` };
    source.attributes = {
      ...own,
      ...(startupPolicy === undefined ? {} : { startupPolicy }),
      ...(isVolume && mode !== undefined ? { mode } : {}),
    };
    const hasSecret = onlyOf(source, 'encryption') !== null;
    if (hasSecret) at.children = at.children.filter((child) => nameOf(child) !== 'encryption');
  }
  visit(disk, (element) => {
    if (element.name === 'encryption') {
      element.attributes = { format: 'luks' };
      element.children = [createElement('secret', { type: 'passphrase', uuid: SECRET })];
    }
  });
  const { sgio, rawio, model, ...attributes } = disk.attributes;
  disk.attributes = { ...attributes, device: 'disk' };
  disk.children = disk.children.filter((child) => !OTHERS.includes(nameOf(child)));
  disk.children.push(createElement('target', { dev: 'vda', bus: 'virtio' }));
  return disk;
}
const lowerOf = (layer: XmlElement) => {
  const lower = onlyOf(layer, 'backingStore');
  return lower && elementsIn(lower).length > 0 ? lower : null;
};
const nameOf = (child: XmlElement | string) => (typeof child === 'string' ? '' : child.name);

/** As a disk that libvirt may take. */
export const randomDisk = schemaDisk.map(settled);
