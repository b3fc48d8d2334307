import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';
import { seededBugs } from '../seeded/bugs.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

it.each(seededBugs)('could still be planted: $name', ({ file, from, to, caughtBy }) => {
  const text = readFileSync(join(root, file), 'utf8');
  expect(text.split(from)).toHaveLength(2);
  expect(to).not.toBe(from);
  expect(existsSync(join(root, caughtBy))).toBe(true);
});
