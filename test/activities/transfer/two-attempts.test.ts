/**
 * Two attempts complete one copy at once: that of a terminated run, or of an agent that was
 * stopped, may still be at work. Real files; whichever is first, the copy is what was copied.
 */
import { chmod, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createEffect } from '../../../activities/door/effect.ts';
import { copyExtended, copyRights } from '../../../activities/adapters/files/attributes.ts';
import { renameOnce } from '../../../activities/adapters/files/files.ts';
import { withOwnedFile } from '../../../activities/adapters/files/owned-folder.ts';
import { completeDurably } from '../../../activities/host/transfer/complete-durably.ts';

const ATTEMPTS = 4;
const ROUNDS = 20;
const CONTENT = 'what was copied';
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-attempts-'));
  await writeFile(at('source'), CONTENT, { mode: 0o640 });
});
afterEach(() => rm(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

describe('a copy that several attempts complete', () => {
  it.each(['a conversion', 'a byte copy'])(
    'is whole after each of many rounds, %s',
    async (way) => {
      const convert = way === 'a conversion' ? { format: 'raw' } : null;
      const deps = { effect: createEffect([]) };
      const volume = { path: at('source'), sizeBytes: CONTENT.length, convert };
      for (let round = 0; round < ROUNDS; round += 1) {
        await writeFile(at('part'), CONTENT);
        const { ino } = await stat(at('part'));
        const copying = { volume, part: at('part'), show: () => undefined };
        const attempt = () =>
          new MockActivityEnvironment().run(() =>
            completeDurably(deps as never, copying as never, at('next'), CONTENT.length),
          );
        const failures = await Promise.all(Array.from({ length: ATTEMPTS }, attempt));
        expect(failures).toEqual(failures.map(() => null));
        expect(await readFile(at('next'), 'utf8')).toBe(CONTENT);
        expect((await stat(at('next'))).ino).toBe(ino);
        expect((await readdir(folder)).sort()).toEqual(['next', 'source']);
        await rm(at('next'));
      }
    },
  );
});

describe('a file that another attempt has renamed', () => {
  it.each([
    ['rights', copyRights],
    ['extended attributes', copyExtended],
  ])('gets its %s, and its old name stays free', async (_, copy) => {
    await chmod(at('source'), 0o604);
    await writeFile(at('part'), CONTENT, { mode: 0o600 });
    await withOwnedFile(at('part'), async (file) => {
      await rename(at('part'), at('next'));
      await copy(at('source'), file);
    });
    expect((await readdir(folder)).sort()).toEqual(['next', 'source']);
    const mode = (await stat(at('next'))).mode & 0o777;
    expect(mode).toBe(copy === copyRights ? 0o604 : 0o600);
  });

  it('keeps its name when a second file is to get it', async () => {
    await writeFile(at('next'), CONTENT);
    await writeFile(at('part'), '');
    await renameOnce(at('part'), at('next'));
    expect(await readFile(at('next'), 'utf8')).toBe(CONTENT);
    expect((await readdir(folder)).sort()).toEqual(['next', 'source']);
  });
});
