import { expect, it } from '@jest/globals';
import { createTogether } from '../../../activities/adapters/process/together.ts';

/** Runs by key, each of which ends when it is told to. */
function scene() {
  const runs: { key: string; end: (value: string) => void; fail: (error: Error) => void }[] = [];
  const together = createTogether((key) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    runs.push({ key, end: resolve, fail: reject });
    return promise;
  });
  return { runs, together };
}
const turn = () => new Promise(setImmediate);

it('runs once more for all who ask while it runs', async () => {
  const { runs, together } = scene();
  const asked = ['a', 'a', 'a', 'b'].map(together);
  expect(runs.map(({ key }) => key)).toEqual(['a', 'b']);
  runs[0]?.end('first');
  runs[1]?.end('other');
  await turn();
  runs[2]?.end('second');
  expect(await Promise.all(asked)).toEqual(['first', 'second', 'second', 'other']);
  expect(runs).toHaveLength(3);
  void together('a');
  expect(runs).toHaveLength(4);
});

it('gives an error to those who asked for that run alone', async () => {
  const { runs, together } = scene();
  const [first, second] = [together('a'), together('a')];
  runs[0]?.fail(new Error('away'));
  await expect(first).rejects.toThrow('away');
  await turn();
  runs[1]?.end('there');
  expect(await second).toBe('there');
});
