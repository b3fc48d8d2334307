import { expect, it } from '@jest/globals';
import { named } from '../suites.mjs';
import { files } from './files.ts';

const SAMPLES = /^import \{.*\b(sample|drawn|runsAllCases)\b.*\} from '.*\/sample\.ts';$/m;
/** The model has a suite of its own, and the test of samples draws only for itself. */
const OTHERS = /^test\/(model|house)\//;

it('every test that draws a sample is run in full by `npm run test:crash`', () => {
  const drawing = files.filter(({ path, text }) => path.endsWith('.test.ts') && SAMPLES.test(text));
  const names = drawing.map(({ path }) => path).filter((path) => !OTHERS.test(path));
  expect(names.length).toBeGreaterThan(10);
  const isRun = (path: string) => named.crash.some((start) => path.startsWith(start));
  expect(names.filter((path) => !isRun(path))).toEqual([]);
});

it('everything that `npm run test:crash` lists is there', () => {
  const isThere = (start: string) => files.some(({ path }) => path.startsWith(start));
  expect(named.crash.filter((start) => !isThere(start))).toEqual([]);
});
