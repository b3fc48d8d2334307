/** Every activity is found by its name: one file, with a function of that name in it. */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';
import { createHostActivities } from '../../activities/host/index.ts';
import type { HostDeps } from '../../activities/host/deps.ts';
import { createOrchestratorActivities } from '../../activities/orchestrator/index.ts';
import { createStorageActivities } from '../../activities/storage/index.ts';

const root = fileURLToPath(new URL('../../activities', import.meta.url));
const files = readdirSync(root, { recursive: true, encoding: 'utf8' });

const deps = {} as HostDeps & { folder: string };
const names = [
  ...Object.keys(createHostActivities(deps)),
  ...Object.keys(createStorageActivities(deps)),
  ...Object.keys(createOrchestratorActivities(deps)),
];
const fileOf = (name: string) => `${name.replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}.ts`;

it.each([...new Set(names)])('%s is in the file of its name', async (name) => {
  const found = files.filter((file) => basename(file) === fileOf(name));
  expect(found).toHaveLength(1);
  const module = (await import(join(root, found[0] as string))) as Record<string, unknown>;
  expect(module).toHaveProperty(name, expect.any(Function));
});

it('only activities have names that begin as theirs do', () => {
  const known = names.map(fileOf);
  const named = files.map((file) => basename(file)).filter((file) => /^(ensure|await)-/.test(file));
  expect(named.filter((file) => !known.includes(file))).toEqual([]);
});
