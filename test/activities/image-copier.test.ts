import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { startCopy } from '../../activities/adapters/copy-job.ts';
import { copierState, startCopier, stopCopier } from '../../activities/adapters/image-copier.ts';

const MIB = 2 ** 20;
let folder: string;
let state: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-copier-'));
  state = copierState(folder, '7c9a2f7e-4f5a-4f6e-9d8e-0a1b2c3d4e5f');
});
afterEach(async () => {
  await stopCopier(state);
  await rm(folder, { recursive: true });
});

/** Bytes of the mappings for which a process has asked the kernel for huge pages. */
async function hugeBytes(pid: string): Promise<number> {
  const maps = await readFile(`/proc/${pid}/smaps`, 'latin1');
  const found = [...maps.matchAll(/^Size: +(\d+) kB\n(?:.*\n)*?VmFlags:(.*)$/gm)];
  expect(found.length).toBeGreaterThan(0);
  const huge = found.filter(([, , flags]) => / hg\b/.test(flags ?? ''));
  return huge.reduce((sum, [, kilobytes]) => sum + Number(kilobytes) * 1024, 0);
}

it('The daemon that copies asks for huge pages, where the kernel wants to be asked', async () => {
  const modes = await readFile('/sys/kernel/mm/transparent_hugepage/enabled', 'latin1');
  const [source, target] = [join(folder, 'source'), join(folder, 'target')];
  await writeFile(source, Buffer.alloc(64 * MIB, 1));
  await writeFile(target, '');
  await truncate(target, 64 * MIB);
  expect(await startCopier(state, [source])).toEqual({ running: true });
  const what = { bytes: 64 * MIB };
  const files = { source, target, sizeBytes: 64 * MIB };
  await startCopy(state, { id: 'copy', ...files, what, bandwidthBytesPerSecond: MIB });
  const huge = await hugeBytes((await readFile(`${state}.pid`, 'latin1')).trim());
  // In the mode `always` nobody has to ask.
  if (modes.includes('[madvise]')) expect(huge).toBeGreaterThanOrEqual(16 * MIB);
  else expect(modes).toMatch(/\[(always|never)\]/);
});
