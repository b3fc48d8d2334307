/**
 * The arguments of the daemon that copies, and its commands, with names that mean something
 * somewhere: a real qemu-storage-daemon holds and copies the very files that were named.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { run } from '../../activities/adapters/process/command.ts';
import { COPY_UNIT, startCopy } from '../../activities/adapters/copying-daemon/mirror.ts';
import {
  copierState,
  observeCopy,
  startCopier,
  stopCopier,
} from '../../activities/adapters/copying-daemon/daemon.ts';
import { openPathsOf } from '../support/host/processes.ts';
import { waitUntil } from '../support/wait-until.ts';
import { FRAGMENTS } from './hostile.ts';

const JOB = '7c9a2f7e-4f5a-4f6e-9d8e-0a1b2c3d4e5f';
const known = [
  ...['--help', '-V', 'json:{"driver":"null-co"}', 'nbd:h:1', 'a,b', 'a,,b', 'a,read-only=off'],
  ...['a"b', "a'b", 'a\\', '$(id)', '%s', 'é', ' a ', 'a=b', 'file:a', 'x'.repeat(200)],
];
/** Without names that the contract forbids. */
const drawn = fc
  .array(fc.constantFrom(...FRAGMENTS, 'a', 'driver=raw', 'read-only=off'), { maxLength: 6 })
  .map((pieces) =>
    pieces
      .join('')
      .replaceAll('/', '')
      .replaceAll(/[\p{Cc}\p{Cs}\uFFFF]/gu, ''),
  )
  .filter((name) => !['', '.', '..'].includes(name) && Buffer.byteLength(name) < 200);

let folder: string;
let state: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-copier-'));
  await Promise.all(['from', 'to', 'run, "=x'].map((name) => mkdir(join(folder, name))));
  state = copierState(join(folder, 'run, "=x'), JOB);
});
afterEach(async () => {
  await stopCopier(state);
  await rm(folder, { recursive: true });
});

const content = (name: string) => Buffer.alloc(COPY_UNIT, `${name}\n`);
const pid = async () => Number(await readFile(`${state}.pid`, 'utf8'));

/** A file of each name, held by the daemon. */
async function hold(): Promise<string[]> {
  const names = [...new Set([...known, ...fc.sample(drawn, 20)])];
  for (const name of names) await writeFile(join(folder, 'from', name), content(name));
  const started = await startCopier(
    state,
    names.map((name) => join(folder, 'from', name)),
  );
  expect(started).toEqual({ running: true });
  return names;
}

describe('Of files with any name, the daemon that copies', () => {
  it('holds those that were named, and no other', async () => {
    const names = await hold();
    const open = openPathsOf(await pid());
    const held = open.filter((path) => path.startsWith(join(folder, 'from')));
    expect(new Set(held.map((path) => basename(path)))).toEqual(new Set(names));
    for (const name of names) {
      const options = JSON.stringify({ driver: 'file', filename: join(folder, 'from', name) });
      const write = ['--image-opts', `json:${options}`, '-c', 'write 0 512'];
      await expect(run('qemu-io', write)).rejects.toThrow(/lock/);
    }
  });

  it('writes to those that were named, and makes no other', async () => {
    const names = await hold();
    for (const [at, name] of names.entries()) {
      const target = join(folder, 'to', name);
      await writeFile(target, '');
      await run('truncate', ['-s', String(COPY_UNIT), target]);
      const request = { id: `copy${at}`, source: join(folder, 'from', name), target };
      const size = { sizeBytes: COPY_UNIT, what: { bytes: COPY_UNIT } };
      await startCopy(state, { ...request, ...size, bandwidthBytesPerSecond: 0 });
      await waitUntil(`the copy of ${JSON.stringify(name)}`, async () => {
        return (await observeCopy(state, request.id))?.status === 'ready';
      });
      expect(await readFile(target)).toEqual(content(name));
    }
    expect(new Set(await readdir(join(folder, 'to')))).toEqual(new Set(names));
  });
});
