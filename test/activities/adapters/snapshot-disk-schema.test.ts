/**
 * Random disks by libvirt's own schema in the record of a snapshot go through its rewrites, and
 * libvirt finds the same disk afterwards, but for what was asked.
 */
import { describe, it } from '@jest/globals';
import {
  parseSnapshot,
  renameSources,
  rewriteSnapshot,
} from '../../../activities/adapters/libvirt-xml/snapshot-xml.ts';
import { POOLS } from '../../support/schema/random-disk.ts';
import {
  asActive,
  expectFound,
  renamed,
  uncached,
  withoutCache,
  type Found,
  type Layer,
} from '../../support/schema/rewritten-disks.ts';

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

  /** The layers from one to another are merged into what is below them. */
  const merges = (before: Found) =>
    before.layers.flatMap((_, from) =>
      before.layers.map((_last, to) => ({ from, to })).filter(({ to }) => from <= to),
    );
  const expectMerged = (into: 'a layer that is named' | 'one below all') =>
    expectFound(({ dumped, before }) =>
      merges(before).flatMap(({ from, to }) => {
        const { layers } = before;
        const [above, gone, below] = [layers.slice(0, from), layers.slice(from, to + 1), to + 1];
        const [named, ...others] = layers.slice(below);
        const isNamed = into === 'a layer that is named';
        if (isNamed !== (named !== undefined)) return [];
        const first = gone[0]?.more ?? [];
        const unnamed = (format: string): Layer => ({
          ...{ file: '/pool/base', format },
          more: uncached(first).filter((text) => !text.includes('<encryption')),
        });
        const formats = named ? [named.format] : ['qcow2', 'raw'];
        return formats.map((format) => {
          const base = named ?? unnamed(format);
          const files = new Set(gone.map(({ file }) => file ?? ''));
          const xml = rewriteSnapshot(record(dumped), files, { path: base.file ?? '', format });
          const left = [...above, ...(from === 0 ? [asActive(base)] : [base]), ...others];
          const active = from === 0 ? withoutCache(before, format) : before;
          return { xml: domainIn(xml), expected: { ...active, layers: left } };
        });
      }),
    );
  it('has the layers that are left after a merge into one that is named', () =>
    expectMerged('a layer that is named'));
  it('has the layer that all are merged into', () => expectMerged('one below all'));
});
