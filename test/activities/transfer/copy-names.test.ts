/** What the copies of an image are called, of every kind of name. */
import { describe, expect, it } from '@jest/globals';
import { copyNames } from '../../../activities/host/transfer/planning/copy-names.ts';

/** An image with snapshots of libvirt, whose files end in the snapshots' names. */
const web1 = [
  { path: '/images/web1.img', format: 'raw' },
  { path: '/images/web1.before-upgrade', format: 'qcow2' },
  { path: '/images/web1.after.qcow2', format: 'qcow2' },
];
const named = (given: string, count = 3, newFormat: string | null = null) =>
  copyNames({ volumes: web1.slice(0, count), given, newFormat });

describe('The copies of a named copy', () => {
  it.each([
    ['clone', 2, ['clone.1.raw', 'clone.qcow2']],
    ['clone.qcow2', 2, ['clone.1.raw', 'clone.qcow2']],
    ['clone', 3, ['clone.1.raw', 'clone.2.qcow2', 'clone.qcow2']],
    ['clone.v2', 3, ['clone.v2.1.raw', 'clone.v2.2.qcow2', 'clone.v2.qcow2']],
    ['clone.img', 1, ['clone.img']],
    ['clone.qcow2', 1, ['clone.qcow2']],
    ['clone', 1, ['clone.raw']],
    ['.hidden', 1, ['.hidden.raw']],
  ])('called %s, of an image of %i volumes, are %j', (given, count, names) => {
    expect(named(given, count)).toEqual(names);
  });

  it('have the given name when the format changes, and its ending where it had none', () => {
    expect(named('clone.img', 1, 'qcow2')).toEqual(['clone.img']);
    expect(named('clone', 1, 'qcow2')).toEqual(['clone.qcow2']);
  });
});

describe('The copies of a move', () => {
  it('keep their names, and follow a change of the format', () => {
    const names = ['web1.img', 'web1.before-upgrade', 'web1.after.qcow2'];
    expect(copyNames({ volumes: web1, given: undefined, newFormat: null })).toEqual(names);
    const move = (path: string) =>
      copyNames({ volumes: [{ path, format: 'raw' }], given: undefined, newFormat: 'qcow2' });
    expect(move('/images/web1.img')).toEqual(['web1.qcow2']);
    expect(move('/images/web1.before-upgrade')).toEqual(['web1.before-upgrade.qcow2']);
  });
});
