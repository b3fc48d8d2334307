/** What a merge makes of snapshots, whose records several merges of one VM change. */
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { parseSnapshot } from '../../../activities/adapters/libvirt-xml/snapshot-xml.ts';
import { changeOf } from '../../../activities/host/snapshots/after-merge.ts';
import { inTurn } from '../../../activities/host/snapshots/in-turn.ts';

const external = (disk: string) =>
  `<disk name='${disk}' snapshot='external' type='file'><source file='/${disk}.s'/></disk>`;
const snapshot = (disks: string, more = '', domain = '') =>
  parseSnapshot(
    `<domainsnapshot><name>s</name>${more}<disks>${disks}</disks>${domain}</domainsnapshot>`,
  );
const merged = (disk: string) => ({ disk, gone: new Set([`/${disk}.s`]) });

describe('the record of a snapshot after a merge', () => {
  it('goes with the last disk, and stays for every other kind of disk', () => {
    expect(changeOf(snapshot(external('vda')), merged('vda'))).toBe('delete');
    const rest = `<disk name='vdb' snapshot='no'/>`;
    expect(changeOf(snapshot(external('vda') + rest), merged('vda'))).toBe('delete');
    const two = external('vda') + external('vdb');
    expect(changeOf(snapshot(two), merged('vda'))).toBe('redefine');
    const internal = `<disk name='vdb' snapshot='internal'/>`;
    expect(changeOf(snapshot(external('vda') + internal), merged('vda'))).toBe('redefine');
  });

  it('stays for the memory that is in a file of its own', () => {
    const memory = (how: string) => snapshot(external('vda'), `<memory ${how}/>`);
    const own = memory(`snapshot='external' file='/m'`);
    expect(changeOf(own, merged('vda'))).toBe('redefine');
    expect(changeOf(memory(`snapshot='no'`), merged('vda'))).toBe('delete');
  });

  it('is changed where only its VM ran on the files, else not', () => {
    const below = `<domain><devices><disk><source file='/vda.s'/></disk></devices></domain>`;
    const child = snapshot(`<disk name='vda' snapshot='internal'/>`, '', below);
    expect(changeOf(child, merged('vda'))).toBe('redefine');
    expect(changeOf(snapshot(external('vda')), merged('vdb'))).toBeNull();
  });
});

describe('changes of the records of one VM', () => {
  it('come one after the other, also after one that failed; another VM does not wait', async () => {
    const seen: string[] = [];
    const change = (name: string, ms: number) => async () => {
      seen.push(`${name} begins`);
      await pause(ms);
      seen.push(`${name} ends`);
      if (name === 'bad') throw new Error(name);
    };
    const changes = [
      inTurn('vm1', change('bad', 30)).catch((error: Error) => error.message),
      inTurn('vm1', change('good', 1)),
      inTurn('vm2', change('other', 1)),
    ];
    expect(await Promise.all(changes)).toEqual(['bad', undefined, undefined]);
    expect(seen.filter((line) => !line.startsWith('other'))).toEqual([
      'bad begins',
      'bad ends',
      'good begins',
      'good ends',
    ]);
    expect(seen.indexOf('other ends')).toBeLessThan(seen.indexOf('bad ends'));
  });
});
