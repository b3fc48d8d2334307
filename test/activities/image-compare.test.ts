/** Files that are compared before a source may go. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sameBytes } from '../../activities/adapters/image-compare.ts';

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
  await writeFile(path, Uint8Array.from({ length }, (_, at) => byteAt(at)));
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
});
