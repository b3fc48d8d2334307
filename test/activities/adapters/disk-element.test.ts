import { describe, expect, it } from '@jest/globals';
import {
  diskElement,
  diskSource,
  oddElements,
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

type Names = [file: string, name: string | null][];
const switched = (xml: string, path = '/base', format = 'raw', names: Names = [['/top', null]]) => {
  const change = { to: { path, format }, names: new Map(names), pools: [] };
  return switchDiskSource(diskElement(domain(xml), 'vda'), change)?.replaceAll('"', "'");
};

describe('what blockflow does not understand of a disk', () => {
  it('is named, in each layer', () => {
    const source = (more: string, inside = '') => `<source file='/a' ${more}>${inside}</source>`;
    const odd = (inside: string) => oddElements(diskElement(domain(disk(inside)), 'vda'));
    const slices = `<slices><slice type='storage' offset='0' size='1'/></slices>`;
    expect(odd(source('', slices))).toEqual(['<slices>']);
    expect(odd(source(`fdgroup='f'`))).toEqual(['fdgroup']);
    expect(
      odd(`${source('')}<backingStore type='file'>${source('', slices)}</backingStore>`),
    ).toEqual(['<slices>']);
  });
});

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

  it("keeps a driver's children, but for those of qcow2 alone where it becomes raw", () => {
    const cache = `<metadata_cache><max_size unit='bytes'>1</max_size></metadata_cache>`;
    const more = `<iothreads><iothread id='1'/></iothreads>`;
    const driver = (attributes: string, inside: string) =>
      `<driver name='qemu' ${attributes}>${inside}</driver>`;
    const top = driver(`type='qcow2' discard_no_unref='on'`, cache + more);
    const raw = disk(`${driver(`type='raw'`, more)}<source file='/base'/>`);
    expect(switched(disk(`${top}<source file='/top'/>`))).toBe(raw);
    const qcow2 = disk(`${top}<source file='/base'/>`);
    expect(switched(disk(`${top}<source file='/top'/>`), '/base', 'qcow2')).toBe(qcow2);
  });

  const secret = `<encryption format='luks'><secret type='passphrase' uuid='u'/></encryption>`;
  const qcow2 = `<driver name='qemu' type='qcow2'/>`;
  const layer = (file: string, inside: string, below: string) =>
    `<backingStore type='file'><format type='qcow2'/><source file='${file}'>${inside}</source>` +
    `${below}</backingStore>`;

  it('keeps the secret of each layer, under its new name', () => {
    const chain = (top: string, mid: string, base: string) =>
      disk(
        `${qcow2}<source file='${top}'/>${layer(mid, '', layer(base, secret, '<backingStore/>'))}`,
      ).replaceAll("'></source>", "'/>");
    const names: Names = ['top', 'mid', 'base'].map((name) => [`/${name}`, `/new/${name}`]);
    const moved = switched(chain('/top', '/mid', '/base'), '/new/top', 'qcow2', names);
    expect(moved).toBe(chain('/new/top', '/new/mid', '/new/base'));
    expect(switched(moved ?? '', '/new/top', 'qcow2', names)).toBeUndefined();
  });

  it('gives base its own secret when it becomes the active layer, and none of top', () => {
    const below = layer('/base', secret, `<backingStore/>`);
    expect(
      switched(
        disk(`${qcow2}<source file='/top' startupPolicy='optional'/>${below}`),
        '/base',
        'qcow2',
      ),
    ).toBe(disk(`${qcow2}<source file='/base' startupPolicy='optional'>${secret}</source>`));
    expect(switched(disk(`${qcow2}<source file='/top'>${secret}</source>`), '/base', 'qcow2')).toBe(
      disk(`${qcow2}<source file='/base'/>`),
    );
  });

  it('gives no other layer the secret that stands beside the source', () => {
    const beside = disk(
      `${qcow2}<source file='/top'/>${layer('/base', '', '<backingStore/>')}${secret}`,
    );
    expect(switched(beside, '/base', 'qcow2')).toBe(disk(`${qcow2}<source file='/base'/>`));
    expect(switched(beside, '/new', 'qcow2', [['/top', '/new']])).toContain(
      `<source file='/new'>${secret}</source>`,
    );
  });

  it('loses no secret below an inner layer that leaves', () => {
    const base = layer('/base', secret, `<backingStore/>`);
    expect(
      switched(disk(`${qcow2}<source file='/top'/>${layer('/mid', '', base)}`), '/top', 'qcow2', [
        ['/mid', null],
      ]),
    ).toBe(disk(`${qcow2}<source file='/top'/>${base}`));
  });

  it('carries names that XML must escape', () => {
    const path = `/it's <a> & "b" `;
    const element = diskElement(domain(disk(`<source file='/top'/>`)), 'vda');
    const to = { path, format: 'raw' };
    const xml = switchDiskSource(element, { to, names: new Map(), pools: [] });
    expect(diskSource(diskElement(domain(xml ?? ''), 'vda'))).toEqual({ path, format: 'raw' });
  });

  it('must be there', () => {
    expect(() => diskElement(domain(disk('')), 'vdb')).toThrow(/no disk vdb/);
  });
});
