/** Files that are compared before a source may go. */
import { chmod, mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sameBytes } from '../../../activities/adapters/qemu-img/compare.ts';

const PATH = process.env['PATH'] ?? '';
/** It ends within a sector, as a qcow2 file may. */
const BYTES = 3 * 2 ** 20 + 1003;
let folder: string;
let source: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-compare-'));
  source = await file('source', (at) => at % 251);
});
afterAll(async () => {
  process.env['PATH'] = PATH;
  await rm(folder, { recursive: true });
});

async function file(name: string, byteAt: (at: number) => number, length = BYTES) {
  const path = join(folder, name);
  await writeFile(
    path,
    Uint8Array.from({ length }, (_, at) => byteAt(at)),
  );
  return path;
}

const copies = {
  'a copy': [() => file('copy', (at) => at % 251), true],
  'a copy that differs in its last byte': [
    () => file('last', (at) => (at === BYTES - 1 ? 255 : at % 251)),
    false,
  ],
  'a copy with a zero more': [
    () => file('longer', (at) => (at === BYTES ? 0 : at % 251), BYTES + 1),
    false,
  ],
} as const;

describe.each(['can', 'cannot'])('Where the file system %s read past the page cache', (can) => {
  beforeAll(async () => {
    if (can === 'can') return;
    // As QEMU says it on file systems without O_DIRECT.
    const words = "Could not open 'x': filesystem does not support O_DIRECT";
    const script = `#!/bin/sh
case " $* " in *' -T none '*) echo "${words}" >&2; exit 2;; esac
PATH='${PATH}' exec qemu-img "$@"
`;
    await writeFile(join(folder, 'qemu-img'), script);
    await chmod(join(folder, 'qemu-img'), 0o755);
    process.env['PATH'] = `${folder}:${PATH}`;
  });

  it.each(Object.entries(copies))('%s is judged by every byte', async (_, [make, same]) => {
    expect(await sameBytes(source, await make())).toBe(same);
  });

  /** Compared in parts; it ends within a sector. */
  const LARGE = 300 * 2 ** 20 + 1003;
  async function large(name: string, differsAt: number | null): Promise<string> {
    const path = await file(name, (at) => at % 251);
    await truncate(path, LARGE);
    const handle = await open(path, 'r+');
    if (differsAt !== null) await handle.write('x', differsAt);
    await handle.close();
    return path;
  }

  it.each([0, LARGE / 2 - 2 ** 20, LARGE / 2 + 2 ** 20, LARGE - 1])(
    'a large copy that differs at %d only is none',
    async (at) => {
      const whole = await large('large', null);
      const percents: number[] = [];
      const onPercent = (percent: number) => percents.push(percent);
      expect(await sameBytes(whole, await large('equal', null), { onPercent })).toBe(true);
      expect(percents).toEqual([...percents].sort((a, b) => a - b));
      expect(percents.at(-1)).toBe(100);
      expect(await sameBytes(whole, await large('other', Math.floor(at)))).toBe(false);
    },
  );
});
