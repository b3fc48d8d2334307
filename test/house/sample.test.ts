import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { draw } from '../support/sample.ts';

const items = Array.from({ length: 23 }, (_, i) => i);
const seeds = Array.from({ length: 400 }, (_, i) => i);
const OF_SEED_0 = [1, 7, 14, 17, 22];
const drawn = (from: number) => draw(from, 'a list', items, 5);

describe('A sample of a list', () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  it.each(['2026-11-28', '2026-11-29', '2031-01-01'])('is the same on %s', (date) => {
    jest.useFakeTimers({ now: new Date(date) });
    expect(drawn(0)).toEqual(OF_SEED_0);
  });

  it('is another one with another seed, and meets every item with some', () => {
    expect(drawn(1)).not.toEqual(drawn(0));
    expect(new Set(seeds.flatMap(drawn))).toEqual(new Set(items));
  });

  it('has one of each group of neighbours, and of a list that is shorter than one', () => {
    for (const from of seeds) {
      const groups = drawn(from).map((item) => Math.floor(item / 5));
      expect(groups.slice(0, 4)).toEqual([0, 1, 2, 3]);
      expect(draw(from, 'a short list', ['a', 'b'], 5)).toHaveLength(1);
    }
  });

  it('meets whatever another list may choose at the same time', () => {
    const moments = [10, 50, 90];
    const pairs = seeds.map((from) =>
      [...draw(from, 'one list', moments, 3), ...draw(from, 'another', moments, 3)].join(),
    );
    expect(new Set(pairs).size).toBe(9);
  });
});
