/** What QEMU cannot be let delete while the VM runs, by version of libvirt. */
import { expect, it } from '@jest/globals';
import {
  liveObstacle,
  type LiveQuestion,
} from '../../../activities/host/snapshot/inside/live-rules.ts';
import type { XmlDisk } from '../../../activities/adapters/libvirt-xml/domain-xml.ts';

const xmlDisk = (target: string, format: string, more: Partial<XmlDisk> = {}): XmlDisk => ({
  ...{ target, device: 'disk', type: 'file', terminated: true },
  ...{
    readOnly: false,
    shareable: false,
    transient: false,
    oddElements: [],
    cache: null,
    cacheMode: null,
    qcow2Only: [],
    copyOnRead: false,
    mirror: null,
  },
  chain: [{ path: `/p/${target}`, format, encrypted: false, index: null }],
  ...more,
});
const inner = (id: string, name: string) => ({ id, name, takenSeconds: 1, memoryBytes: 0 });
const image = (disk: string, ...inside: ReturnType<typeof inner>[]) => ({
  ...{ disk, path: `/p/${disk}`, inside },
});
const part = (disk: string, name = 's') => ({
  disk,
  volume: { path: `/p/${disk}`, pool: 'images', identity: '1:2' },
  handle: { format: 'qcow2' as const, id: '1', name },
  takenSeconds: 1,
});

const question = (more: Partial<LiveQuestion>): LiveQuestion => ({
  name: 's',
  libvirt: '9.0.0',
  disks: [xmlDisk('vda', 'qcow2'), xmlDisk('vdb', 'qcow2')],
  hasNvram: false,
  images: [image('vda', inner('1', 's')), image('vdb')],
  parts: [part('vda')],
  listed: ['internal', 'no'],
  ...more,
});
const whyNot = (more: Partial<LiveQuestion>) => liveObstacle(question(more));

it('One in the active layers of qcow2 disks can be deleted by every version', () => {
  expect(whyNot({})).toBeNull();
  expect(whyNot({ listed: null })).toBeNull();
  const cdrom = xmlDisk('sda', 'raw', { device: 'cdrom' });
  const kernel = xmlDisk('vdc', 'raw', { readOnly: true });
  expect(whyNot({ disks: [xmlDisk('vda', 'qcow2'), cdrom, kernel] })).toBeNull();
});

const oldOnly: [string, Partial<LiveQuestion>, RegExp][] = [
  ['a raw disk', { disks: [xmlDisk('vda', 'raw')] }, /vda is not/],
  ['a disk without a file', { disks: [xmlDisk('vda', 'qcow2', { chain: [] })] }, /vda is not/],
  ['a floppy', { disks: [xmlDisk('fda', 'raw', { device: 'floppy' })] }, /fda is not/],
  ['NVRAM', { hasNvram: true }, /NVRAM/],
];
it.each(oldOnly)('Before libvirt 10.9: not with %s', (_, more, why) => {
  for (const libvirt of ['9.0.0', '10.8.9', 'of an unknown version']) {
    const obstacle = whyNot({ ...more, libvirt });
    expect(obstacle).toMatchObject({ why: expect.stringMatching(why), onlyOld: true });
  }
  for (const libvirt of ['10.9.0', '11.3.0']) expect(whyNot({ ...more, libvirt })).toBeNull();
});

it.each(['a"b', 'a\\b'])('Before libvirt 10.9: not by the name %s', (name) => {
  const obstacle = whyNot({ name, images: [], parts: [] });
  expect(obstacle).toMatchObject({ why: expect.stringMatching(/a quote or a backslash/) });
});

it.each(['a"b', 'before the upgrade', 'é', 'a/b'])('Since 10.9: not by the name %s', (name) => {
  const obstacle = whyNot({ name, libvirt: '11.3.0', images: [], parts: [] });
  expect(obstacle).toMatchObject({ why: expect.stringMatching(/only letters/), onlyOld: false });
  expect(whyNot({ name: 'a-b.c_1', libvirt: '11.3.0', images: [], parts: [] })).toBeNull();
});

const never: [string, Partial<LiveQuestion>, RegExp][] = [
  ['below others', { images: [{ ...image('vda'), path: '/p/top' }] }, /below other layers/],
  [
    'twice in an image',
    { images: [image('vda', inner('1', 's'), inner('2', 's'))] },
    /several of that name \(ids 1, 2\)/,
  ],
  [
    'also on another disk',
    { images: [image('vda', inner('1', 's')), image('vdb', inner('4', 's'))] },
    /vdb would lose its own \(id 4\)/,
  ],
  ['unlisted, with a slash', { name: 'a/b', listed: null, images: [], parts: [] }, /a slash/],
  ['unlisted, with a dot first', { name: '.a', listed: null, images: [], parts: [] }, /a dot/],
  ['listed as layers', { listed: ['external', 'no'] }, /a snapshot of that name in layers/],
];
it.each(never)('With no version: %s', (_, more, why) => {
  for (const libvirt of ['9.0.0', '11.3.0']) {
    const obstacle = whyNot({ ...more, libvirt });
    expect(obstacle).toMatchObject({ why: expect.stringMatching(why), onlyOld: false });
  }
});
