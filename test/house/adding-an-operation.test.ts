/**
 * What an operation touches outside its own rooms, as docs/contribute.md lists it: the list is true
 * for every kind that there is, and short.
 */
import { expect, it, test } from '@jest/globals';
import { createHostActivities } from '../../activities/host/index.ts';
import type { HostDeps } from '../../activities/host/deps.ts';
import { createStorageActivities } from '../../activities/storage/index.ts';
import { kindNames, kinds } from '../../workflows/kinds.ts';
import * as workflows from '../../workflows/index.ts';
import { strikes } from '../support/faults/strike-list.ts';
import { tables } from '../support/tables.ts';
import { code, documents } from './files.ts';

/** Rooms of the operations themselves. */
const OWN =
  /^(workflows|activities\/host|activities\/storage)\/(merge|transfer|removal|snapshot)\//;
/** Methods of the client library with a name of their own: sugar over `start`. */
const SUGAR = ['client/library/connect-blockflow.ts', 'client/library/plans.ts'];

const product = code.filter(({ path }) => /^(workflows|activities|worker|client)\//.test(path));
const contribute = documents.find(({ path }) => path === 'docs/contribute.md')?.text ?? '';
const [, section = ''] = contribute.split('### Existing files, one line each');
const listed = [...section.matchAll(/^\d\. `([^`]+)`/gm)].map(([, path]) => path);

test('docs/contribute.md lists at most six files, and they are there', () => {
  expect(listed.length).toBeGreaterThan(0);
  expect(listed.length).toBeLessThanOrEqual(6);
  const paths = product.map(({ path }) => path);
  expect(listed.filter((path) => !paths.includes(path ?? ''))).toEqual([]);
});

it.each(kindNames)('%s is named in no other file', (kind) => {
  const named = product
    .filter(({ text }) => new RegExp(`\\b${kind}\\b`).test(text.replace(/\/\*[^]*?\*\//g, '')))
    .map(({ path }) => path)
    .filter((path) => !OWN.test(path) && !SUGAR.includes(path));
  expect(named.filter((path) => !listed.includes(path))).toEqual([]);
});

test('every kind is a workflow, and every activity of a table is served', () => {
  expect(kindNames.filter((kind) => !(kind in workflows))).toEqual([]);
  const deps = {} as HostDeps;
  const served = { host: createHostActivities(deps), storage: createStorageActivities(deps) };
  for (const role of ['host', 'storage'] as const) {
    expect(Object.keys(served[role]).sort()).toEqual(Object.keys(tables[role]).sort());
  }
});

test('effects are registered by the commands of kinds', () => {
  const commands = Object.values(kinds).map(({ command }) => command);
  const registered = Object.keys(strikes).filter((matrix) => matrix !== 'move disks');
  expect(commands).toEqual(expect.arrayContaining(registered));
});
