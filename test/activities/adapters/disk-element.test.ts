import { describe, expect, it } from '@jest/globals';
import {
  diskElement,
  diskSource,
  switchDiskSource,
} from '../../../activities/adapters/libvirt-xml/disk-element.ts';

const domain = (disk: string) => `<domain type='kvm'><name>web1</name><devices>
  <disk type='file' device='cdrom'><source file='/iso'/><target dev='sda' bus='sata'/></disk>
  ${disk}
</devices></domain>`;

const disk = (inside: string) =>
  `<disk type='file' device='disk' snapshot='external'>${inside}` +
  `<target dev='vda' bus='virtio'/><iotune><total_bytes_sec>1</total_bytes_sec></iotune>` +
  `<serial>a &amp; b</serial><boot order='1'/></disk>`;

const switched = (xml: string, path = '/base', format = 'raw') =>
  switchDiskSource(diskElement(domain(xml), 'vda'), path, format)?.replaceAll('"', "'");

describe('the element of a disk with another source', () => {
  it('differs in the source and the format, and keeps all else', () => {
    const driver = (type: string) => `<driver name='qemu' type='${type}' cache='none'/>`;
    expect(switched(disk(`${driver('qcow2')}<source file='/top'/>`))).toBe(
      disk(`${driver('raw')}<source file='/base'/>`),
    );
  });

  it('keeps what the source says besides the file', () => {
    const source = (file: string) =>
      `<driver name='qemu' type='raw'/><source file='${file}' startupPolicy='optional'>` +
      `<seclabel model='dac' relabel='no'/></source>`;
    expect(switched(disk(source('/top')))).toBe(disk(source('/base')));
  });

  it('has the format written out where there was none, because libvirt takes none for raw', () => {
    expect(switched(disk(`<source file='/top'/>`), '/base', 'qcow2')).toBe(
      disk(`<driver name='qemu' type='qcow2'/><source file='/base'/>`),
    );
  });

  it('has no written out chain, which would beat the header', () => {
    const same = `<driver name='qemu' type='raw'/><source file='/base'/>`;
    expect(switched(disk(`${same}<backingStore/>`))).toBe(disk(same));
    expect(switched(disk(same))).toBeUndefined();
  });

  it('carries names that XML must escape', () => {
    const path = `/it's <a> & "b" `;
    const element = diskElement(domain(disk(`<source file='/top'/>`)), 'vda');
    const xml = switchDiskSource(element, path, 'raw');
    expect(diskSource(diskElement(domain(xml ?? ''), 'vda'))).toEqual({ path, format: 'raw' });
  });

  it('must be there', () => {
    expect(() => diskElement(domain(disk('')), 'vdb')).toThrow(/no disk vdb/);
  });
});
