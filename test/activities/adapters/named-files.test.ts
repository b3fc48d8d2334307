import { describe, expect, it } from '@jest/globals';
import { filesNamed } from '../../../activities/adapters/libvirt-xml/named-files.ts';

const named = (xml: string, more: Partial<Parameters<typeof filesNamed>[2]> = {}) =>
  [...filesNamed(xml, 'domain', { pools: [], ...more }).paths].sort();
const below = `<backingStore type='file'><source file='/b &amp; c'/></backingStore>`;

describe('the files that a domain names', () => {
  it('names every source in it, below and beside the active layer', () => {
    const xml = `<domain><devices><disk><source file='/a'/>${below}<mirror><source dev='/dev/m'/>
      </mirror></disk></devices></domain>`;
    expect(named(xml)).toEqual(['/a', '/b & c', '/dev/m']);
  });

  it('names volumes by their active pool, and not those of the disk that is left out', () => {
    const disk = (target: string, source: string) =>
      `<disk type='volume'><source ${source}/><target dev='${target}'/></disk>`;
    const volume = (name: string, pool = 'images') => `pool='${pool}' volume='${name}'`;
    const xml = `<domain><devices>${disk('vda', volume('a'))}${disk('vdb', volume('b c'))}
      ${disk('vdc', volume('d', 'stopped'))}</devices></domain>`;
    const pools = [
      { name: 'images', folder: '/pool' },
      { name: 'logical', folder: null },
    ];
    expect(named(xml, { pools })).toEqual(['/pool/a', '/pool/b c']);
    expect(named(xml, { pools, own: 'vda' })).toEqual(['/pool/b c']);
    const moved = [{ name: 'images', folder: '/moved' }];
    expect(named(xml, { pools: moved })).toEqual(['/moved/a', '/moved/b c']);
  });

  it('are in no text for people, nor in the records of other programs', () => {
    const xml = `<domain><description>/a</description><metadata><x path='/b'/></metadata></domain>`;
    expect(named(xml)).toEqual([]);
  });

  it('tells which may stand on others, and which stand on what it names', () => {
    const layer = (format: string, path: string, inside = '') =>
      `<backingStore type='file'><format type='${format}'/><source file='${path}'/>${inside}
      </backingStore>`;
    const disk = (format: string, path: string, inside = '') =>
      `<disk><driver name='qemu' type='${format}'/><source file='${path}'/>${inside}</disk>`;
    const xml = `<domain><os><loader format='qcow2'>/loader</loader><nvram>/nvram</nvram>
      <kernel>/kernel</kernel></os><devices><disk device='cdrom'><source file='/iso'/></disk>
      ${disk('raw', '/raw')}${disk('qcow2', '/alone')}
      ${disk('qcow2', '/top', layer('qcow2', '/mid', layer('qcow2', '/open')))}
      ${disk('qcow2', '/whole', layer('raw', '/base', '<backingStore/>'))}
      <serial type='file'><source path='/log'/></serial></devices></domain>`;
    const { open, told } = filesNamed(xml, 'domain', { pools: [] });
    expect([...open].sort()).toEqual(['/alone', '/loader', '/open']);
    expect([...told].sort()).toEqual(['/mid', '/top', '/whole']);
  });

  const args: [string, string][] = [
    ['file=/a,if=none', '/a'],
    ['if=none,file=/a b,,c', '/a b,c'],
    ['file=/a=b,if=none', '/a=b'],
    ['{"filename":"/a,b","driver":"file"}', '/a,b'],
    ['/a b', '/a b'],
    ['file=file:/a:b', '/a:b'],
  ];
  it.each(args)('are in an argument of QEMU: %s', (words, path) => {
    const value = words.replaceAll('"', '&quot;');
    const line = `<qemu:commandline><qemu:arg value="${value}"/></qemu:commandline>`;
    expect(named(`<domain>${line}</domain>`)).toContain(path);
  });

  it('are all paths in its text where it cannot be read', () => {
    const xml = `<domain><os><kernel>/k &amp; l</kernel></os><disk><source file='/a'/></domain>`;
    const { paths, unread } = filesNamed(xml, 'domain', { pools: [] });
    expect([...paths]).toEqual(expect.arrayContaining(['/k & l', '/a']));
    expect(unread).toMatch(/well-formed/);
  });
});
