import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';
import { execa } from 'execa';

const root = fileURLToPath(new URL('../..', import.meta.url));
const scripts = ['activities', 'worker', 'test'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.bash'))
    .map((file) => join(folder, file)),
);

/** Some of them hold the data of guests. */
it('shellcheck finds nothing in the scripts', async () => {
  const { stdout } = await execa('shellcheck', ['--shell=bash', ...scripts], {
    cwd: root,
    reject: false,
  });
  expect(scripts.length).toBeGreaterThan(3);
  expect(stdout).toBe('');
});
