import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { startCopy } from '../../../activities/adapters/copying-daemon/mirror.ts';
import { observeFile } from '../../../activities/adapters/files/files.ts';
import {
  copierState,
  startCopier,
  stopCopier,
} from '../../../activities/adapters/copying-daemon/daemon.ts';
import type { Effect } from '../../../activities/door/effect.ts';
import type { HostDeps } from '../../../activities/host/deps.ts';
import { ensureImageHeld } from '../../../activities/host/transfer/ensure-image-held.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import type { ImageJob } from '../../../workflows/transfer/activities.ts';

const MIB = 2 ** 20;
const JOB = '7c9a2f7e-4f5a-4f6e-9d8e-0a1b2c3d4e5f';
let folder: string;
let state: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-copier-'));
  state = copierState(folder, JOB);
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
  // In the mode `always` no program has to ask.
  if (modes.includes('[madvise]')) expect(huge).toBeGreaterThanOrEqual(16 * MIB);
  else expect(modes).toMatch(/\[(always|never)\]/);
});

const started = (files: string[]) => startCopier(state, files);
/** A file whose writer is QEMU. */
async function writtenFile(): Promise<{ file: string; close: () => Promise<unknown> }> {
  const file = join(folder, 'disk.raw');
  await writeFile(file, Buffer.alloc(MIB));
  const writer = execa('qemu-io', ['-f', 'raw', file], { stdin: 'pipe', reject: false });
  // It asks for a command once it has the file, and its lock.
  await once(writer.stdout, 'data');
  return { file, close: () => (writer.stdin.end('quit\n'), writer) };
}

it('A file that QEMU writes is locked, by the words of the tool', async () => {
  const { file, close } = await writtenFile();
  const reason = expect.stringContaining('Is another process using the image') as unknown;
  expect(await started([file])).toEqual({ running: false, why: 'locked', reason });
  await close();
  expect(await started([file])).toEqual({ running: true });
});

/** With flock alone on the PATH. */
async function withoutDaemon<T>(body: () => Promise<T>): Promise<T> {
  const path = process.env['PATH'];
  await copyFile((await execa('which', ['flock'])).stdout, join(folder, 'flock'));
  try {
    process.env['PATH'] = folder;
    return await body();
  } finally {
    process.env['PATH'] = path;
  }
}

it('What is wrong with the tool or a file is not told as a lock', async () => {
  const file = join(folder, 'nowhere.raw');
  const absent = expect.stringContaining('No such file or directory') as unknown;
  expect(await started([file])).toEqual({ running: false, why: 'failed', reason: absent });
  const reason = expect.stringContaining('failed to execute qemu-storage-daemon') as unknown;
  const missing = { running: false, why: 'missing', reason };
  expect(await withoutDaemon(() => started([file]))).toEqual(missing);
});

it('A hold without the tool fails, and names what to install', async () => {
  const file = join(folder, 'disk.raw');
  await writeFile(file, 'data');
  const facts = await observeFile(file);
  const volumes = [{ ...facts, path: file, pool: 'images' }];
  const job = { jobId: JOB, plan: { volumes } } as unknown as ImageJob;
  const effect: Effect = (_name, _target, run) => run();
  const deps = { runtimeDir: folder, effect } as unknown as HostDeps;
  const held = withoutDaemon(() => ensureImageHeld(deps, job));
  const error = await held.then(() => null, failureDetails);
  expect(error).toMatchObject({ type: 'Retry', details: { code: 'command-failed' } });
  expect(error?.details.now).toContain('failed to execute qemu-storage-daemon');
  expect(error?.details.next).toMatch(/^Install it on this host/);
  await rm(file);
  const gone = await withoutDaemon(() => ensureImageHeld(deps, job));
  expect(gone).toEqual({ outcome: 'changed', reason: `${file} was removed meanwhile` });
});
