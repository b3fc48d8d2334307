/** What the views of all disks mean together: every combination of what they can show. */
import { describe, expect, it } from '@jest/globals';
import {
  overtakenIn,
  verdictOf,
  type DiskViews,
  type Layer,
  type Verdict,
} from '../../../activities/host/snapshot/look.ts';

type Views = Pick<DiskViews, 'live' | 'recorded' | 'written'>;
const layers: readonly (Layer | null)[] = ['base', 'overlay', 'another', 'other', null];
const disk = (target: string, views: Views): DiskViews => ({ disk: target, ...views });

const every: Views[] = layers.flatMap((live) =>
  layers.flatMap((recorded) => layers.map((written) => ({ live, recorded, written }))),
);

type Meaning = [Verdict, ...(readonly (Layer | null)[])[]];
const any = layers;
/** The verdict, then what live XML, record and QEMU may show; all others are divergent. */
const meanings: Meaning[] = [
  ['taken', ['overlay'], ['overlay', null], any],
  ['taken', [null], ['overlay'], any],
  ['unrecorded', ['overlay'], ['base'], any],
  ['unseen', ['base'], ['base', null], ['overlay']],
  ['not-taken', ['base'], ['base', null], ['base', null]],
  ['not-taken', ['another'], ['another', null], ['another', null]],
  ['not-taken', [null], ['base', 'another'], any],
];

function meaningOf({ live, recorded, written }: Views): Verdict {
  const found = meanings.find(([, ...shown]) =>
    [live, recorded, written].every((layer, at) => shown[at]?.includes(layer)),
  );
  return found?.[0] ?? 'divergent';
}

describe('One disk', () => {
  it.each(every)('live XML $live, record $recorded, QEMU $written', (views) => {
    expect(verdictOf([disk('vda', views)])).toBe(meaningOf(views));
  });
});

const same = (layer: Layer): Views => ({ live: layer, recorded: layer, written: layer });

describe('Two disks', () => {
  it.each<[Layer, Layer, Verdict, string[]]>([
    ['base', 'another', 'not-taken', ['vdb']],
    ['another', 'another', 'not-taken', ['vda', 'vdb']],
    ['overlay', 'another', 'divergent', ['vdb']],
    ['overlay', 'base', 'divergent', []],
    ['other', 'another', 'divergent', ['vdb']],
  ])('%s and %s are %s', (one, two, verdict, overtaken) => {
    const disks = [disk('vda', same(one)), disk('vdb', same(two))];
    expect(verdictOf(disks)).toBe(verdict);
    expect(overtakenIn(disks)).toEqual(overtaken);
  });

  it('one that only QEMU has switched is not gone back from, beside another file', () => {
    const unseen = disk('vda', { live: 'base', recorded: 'base', written: 'overlay' });
    expect(verdictOf([unseen, disk('vdb', same('another'))])).toBe('divergent');
  });
});
