import { describe, expect, it } from '@jest/globals';
import { disagreements } from '../../../activities/host/chain/disagreements.ts';

const CHAIN = ['/base', '/middle', '/top'];
/** What is said of a VM that is down, whose persistent XML names these layers. */
const said = (persistent: string[] | null, terminated: boolean) =>
  disagreements(
    { live: null, persistent, headers: CHAIN, open: null },
    { persistent: true, terminated },
    null,
    [],
  );

describe('the persistent XML and the headers', () => {
  // libvirt leaves it so when it takes a snapshot of a VM whose XML named its active layer alone.
  it.each([0, 1, 2])('agree on all from layer %i up, and what is below', (from) => {
    expect(said(CHAIN.slice(from), false)).toEqual([]);
  });

  it('agree on the whole chain and an end', () => {
    expect(said(CHAIN, true)).toEqual([]);
  });

  it.each([1, 2])('differ when nothing is below layer %i', (from) => {
    const kept = CHAIN.slice(from);
    expect(said(kept, true)).toEqual([expect.stringMatching(/^the persistent XML has /)]);
  });

  const named = [
    ['/base', '/top'],
    ['/x', '/middle', '/top'],
    ['/below', ...CHAIN],
  ];
  const others = named.map((kept) => ({ kept }));
  it.each(others)('differ when it has $kept', ({ kept }) => {
    expect(said(kept, false)).toEqual([expect.stringMatching(/^the persistent XML has /)]);
  });

  it('differ when another layer would be booted, or none', () => {
    expect(said(['/base', '/middle'], false)).toEqual([expect.stringMatching(/starts \/middle/)]);
    expect(said(null, false)).toEqual(['the persistent XML has no such disk']);
  });

  it('agree on a disk that only the running domain has', () => {
    const views = { live: CHAIN, persistent: null, headers: CHAIN, open: CHAIN };
    expect(disagreements(views, { persistent: true, terminated: false }, [], [])).toEqual([]);
  });
});
