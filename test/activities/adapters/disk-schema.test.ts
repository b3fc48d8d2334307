/**
 * Random disks by libvirt's own schema go through every rewrite of a disk, and libvirt itself finds
 * the same disk afterwards, but for what was asked.
 */
import { describe, expect, it } from '@jest/globals';
import {
  diskElement,
  switchDiskSource,
} from '../../../activities/adapters/libvirt-xml/disk-element.ts';
import {
  withActiveLayers,
  withoutOverlays,
  withOverlays,
} from '../../../activities/adapters/libvirt-xml/overlaid.ts';
import { readXml, writeXml } from '../../../activities/adapters/libvirt-xml/xml.ts';
import { POOLS } from '../../support/schema/random-disk.ts';
import {
  asActive,
  expectFound,
  isPlain,
  renamed,
  withoutCache,
  type Found,
  type Layer,
} from '../../support/schema/rewritten-disks.ts';

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
