/** A copy whose space is taken at once, in another format or in its own. */
import { randomUUID } from 'node:crypto';
import { mkdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import {
  dismissCopy,
  endCopy,
  startCopy as startCopyJob,
} from '../../../activities/adapters/copying-daemon/mirror.ts';
import { startCreation } from '../../../activities/adapters/copying-daemon/conversion.ts';
import {
  copierState,
  observeCopy,
  startCopier,
  stopCopier,
} from '../../../activities/adapters/copying-daemon/daemon.ts';
import type { CopyImageRequest } from '../../../workflows/transfer/request.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  inVault,
  plainVolume,
  startCopy,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'prealloc' }));
beforeAll(() => mkdir(join(system.host.pools, POOL), { recursive: true }));

const MIB = 2 ** 20;
const formats = ['raw', 'qcow2'] as const;
type Format = (typeof formats)[number];
const allocated = async (file: string) => (await stat(file)).blocks * 512;

/** Extents as a guest sees them: where each lies in the file, and whether it reads as zeros. */
async function mapOf(file: string, format: string) {
  const { stdout } = await execa('qemu-img', ['map', '-f', format, '--output=json', file]);
  return JSON.parse(stdout) as { offset?: number; zero: boolean; data: boolean }[];
}
const unwritten = async (file: string) =>
  (await execa('filefrag', ['-v', file])).stdout.includes('unwritten');

describe.each(formats)('preallocation of a copy of %s', (from) => {
  /** Names of source and copy are of one test only. */
  async function copied(
    format: Format,
    preallocation: CopyImageRequest['preallocation'],
  ): Promise<string> {
    const name = `${preallocation}-${from}-${format}`;
    const image = await plainVolume(system, name, from);
    const copy = await startCopy(system, { image, to: VAULT, format, preallocation });
    expect(await copy.result()).toMatchObject({ outcome: 'copied', verified: true });
    const target = inVault(system, `${name}.${format}`);
    const source = join(system.host.pools, POOL, `${name}.${from}`);
    expect(await contents([target], [format])).toEqual(await contents([source], [from]));
    await rm(source);
    return target;
  }

  it.each(formats)('falloc to %s: all of its space is taken, none of it written', async (to) => {
    const target = await copied(to, 'falloc');
    expect(await allocated(target)).toBeGreaterThanOrEqual(16 * MIB);
    expect(await unwritten(target)).toBe(true);
    expect((await mapOf(target, to)).every(({ offset }) => offset !== undefined)).toBe(true);
  });

  it.each(formats)('full to %s: all of it is written', async (to) => {
    const target = await copied(to, 'full');
    expect(await allocated(target)).toBeGreaterThanOrEqual(16 * MIB);
    expect(await unwritten(target)).toBe(false);
    expect((await mapOf(target, to)).every(({ data }) => data)).toBe(true);
  });

  it('metadata to qcow2: every cluster has its place, and takes none yet', async () => {
    const target = await copied('qcow2', 'metadata');
    const map = await mapOf(target, 'qcow2');
    expect(map.filter(({ offset }) => offset === undefined)).toEqual([]);
    expect(await allocated(target)).toBeLessThan(4 * MIB);
    expect((await stat(target)).size).toBeGreaterThan(16 * MIB);
  });
});

describe('a conversion', () => {
  it('of a file that ends within a sector never hangs, as io_uring does at times', async () => {
    const [source, target] = [join(system.host.root, 'odd'), join(system.host.root, 'odd.qcow2')];
    const sizeBytes = 64 * MIB + 1001;
    await writeFile(source, 'data');
    await truncate(source, sizeBytes);
    const virtualSizeBytes = 64 * MIB + 1024;
    const what = { format: 'qcow2', preallocation: 'metadata', virtualSizeBytes } as const;
    const state = copierState(system.runtimeDir, randomUUID());
    expect(await startCopier(state, [source])).toEqual({ running: true });
    const until = (id: string, status: string) => {
      const look = async () => (await observeCopy(state, id))?.status === status;
      return waitUntil(`${id} to be ${status}`, look, { timeoutMs: 20_000, intervalMs: 5 });
    };
    for (let round = 0; round < 15; round++) {
      const [creation, id] = [`create-${round}`, `copy-${round}`];
      await writeFile(target, '');
      await startCreation(state, creation, target, what);
      await until(creation, 'concluded');
      const files = { source, target, sizeBytes, bandwidthBytesPerSecond: 0 };
      await startCopyJob(state, { id, ...files, what: { ...what, from: 'raw', below: [] } });
      await until(id, 'ready');
      await endCopy(state, id);
      await until(id, 'concluded');
      await dismissCopy(state, id);
    }
    await stopCopier(state);
  });
});
