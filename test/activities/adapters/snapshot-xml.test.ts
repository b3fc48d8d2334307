import { describe, expect, it } from '@jest/globals';
import { withFormat } from '../../../activities/adapters/libvirt-xml/snapshot-format.ts';
import {
  parseSnapshot,
  renameSources,
  rewriteSnapshot,
  sourcesOf,
} from '../../../activities/adapters/libvirt-xml/snapshot-xml.ts';

const layer = (path: string, format: string, below = '<backingStore/>') =>
  `<backingStore type='file'><format type='${format}'/>` +
  `<source file='${path}'/>${below}</backingStore>`;
const vmDisk = (path: string, format: string, below = '') =>
  `<disk type='file' device='disk'><driver name='qemu' type='${format}' cache='none'/>` +
  `<source file='${path}'/>${below}<target dev='vda' bus='virtio'/></disk>`;
const snapshotDisk = (name: string, path: string) =>
  `<disk name='${name}' snapshot='external' type='file'><driver type='qcow2'/>` +
  `<source file='${path}'/></disk>`;

/** A snapshot taken while the VM ran on `disk`; the description is there to be left alone. */
const snapshot = (disks: string, disk: string) => `<domainsnapshot>
  <name>s &amp; t</name><description>from  &lt;monday&gt;</description><state>disk-snapshot</state>
  <parent><name>r</name></parent>
  <disks>${disks}</disks>
  <domain type='kvm'><name>web1</name><devices>${disk}</devices></domain>
  <inactiveDomain type='kvm'><name>web1</name><devices>${disk}</devices></inactiveDomain>
</domainsnapshot>`;

const rewritten = (xml: string, gone: string[], base = { path: '/base', format: 'raw' }) =>
  rewriteSnapshot(parseSnapshot(xml), new Set(gone), base).replaceAll('"', "'");

describe('the record of a snapshot', () => {
  it('tells its name, its disks, and every file in it', () => {
    const xml = snapshot(snapshotDisk('vda', '/s'), vmDisk('/r', 'qcow2', layer('/base', 'raw')));
    const parsed = parseSnapshot(xml);
    expect(parsed.name).toBe('s &amp; t'.replace('&amp;', '&'));
    expect(parsed.disks).toMatchObject([{ name: 'vda', kind: 'external', source: '/s' }]);
    expect(sourcesOf(parsed)).toEqual(['/s', '/r', '/base', '/r', '/base']);
  });

  it('is the same document when none of its files goes', () => {
    const xml = snapshot(snapshotDisk('vda', '/s'), vmDisk('/r', 'qcow2', layer('/base', 'raw')));
    expect(rewritten(xml, ['/other'])).toBe(xml);
  });

  it('boots the base, in its format, where the VM ran on a volume that was merged', () => {
    const xml = snapshot(snapshotDisk('vda', '/s'), vmDisk('/r', 'qcow2'));
    expect(rewritten(xml, ['/r'])).toBe(
      snapshot(snapshotDisk('vda', '/s'), vmDisk('/base', 'raw')),
    );
  });

  it('has a shorter chain where that is written out, at the top and in the middle', () => {
    const chain = layer('/q', 'qcow2', layer('/base', 'raw'));
    const whole = snapshot(snapshotDisk('vda', '/s'), vmDisk('/r', 'qcow2', chain));
    const left = (disk: string) => snapshot(snapshotDisk('vda', '/s'), disk);
    expect(rewritten(whole, ['/r', '/q'])).toBe(left(vmDisk('/base', 'raw', '<backingStore/>')));
    expect(rewritten(whole, ['/q'])).toBe(left(vmDisk('/r', 'qcow2', layer('/base', 'raw'))));
    const onto = { path: '/q', format: 'qcow2' };
    expect(rewritten(whole, ['/r'], onto)).toBe(left(vmDisk('/q', 'qcow2', layer('/base', 'raw'))));
  });

  it('restores one disk less where the overlay of that disk was merged', () => {
    const disks = snapshotDisk('vda', '/s') + snapshotDisk('vdb', '/s-b');
    const xml = snapshot(disks, vmDisk('/r', 'qcow2'));
    const fewer = `<disk name='vda' snapshot='no'/>${snapshotDisk('vdb', '/s-b')}`;
    expect(rewritten(xml, ['/s'])).toBe(snapshot(fewer, vmDisk('/r', 'qcow2')));
  });

  it('has what only qcow2 takes no longer where a raw layer has its place', () => {
    const cache = '<metadata_cache><max_size unit="bytes">4096</max_size></metadata_cache>';
    const special = (driver: string, inside: string) =>
      `<disk type='file' device='disk'><driver name='qemu' ${driver}${inside}` +
      `<source file='/r'/><target dev='vda' bus='virtio'/></disk>`;
    const before = special(`type='qcow2' discard_no_unref='on'>`, `${cache}</driver>`);
    const after = special(`type='raw'`, '/>');
    expect(withFormat(snapshot('', before), '/r', 'raw').replaceAll('"', "'")).toBe(
      snapshot('', after).replace('<disks></disks>', '<disks/>'),
    );
    expect(rewritten(snapshot('', before), ['/r'])).toBe(
      snapshot('', after.replace('/r', '/base')).replace('<disks></disks>', '<disks/>'),
    );
  });

  it('names a volume of a pool by its path once it was moved', () => {
    const disk = (type: string, source: string) =>
      `<domainsnapshot><name>s</name><domain><devices><disk type='${type}'>` +
      `<source ${source}/><target dev='vda'/></disk></devices></domain></domainsnapshot>`;
    const pools = [{ name: 'images', folder: '/pool' }];
    const snapshot = parseSnapshot(disk('volume', `pool='images' volume='a'`), pools);
    expect(sourcesOf(snapshot)).toEqual(['/pool/a']);
    const moved = renameSources(snapshot, new Map([['/pool/a', '/new/a']]));
    expect(moved.replaceAll('"', "'")).toBe(disk('file', `file='/new/a'`));
  });
});
