/** Tools that only read images, by real programs: which rights they have, what they can read. */
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { isReadByRight } from '../../../activities/adapters/files/rights.ts';
import { run } from '../../../activities/adapters/process/command.ts';
import { mayConfine } from '../../../activities/adapters/process/confined.ts';
import { dataExtents, sameBytes } from '../../../activities/adapters/qemu-img/compare.ts';
import { isStillEmpty } from '../../../activities/adapters/qemu-img/empty-image.ts';
import { checkImage, repairLeaks } from '../../../activities/adapters/qemu-img/image-check.ts';
import { measure, readHeader } from '../../../activities/adapters/qemu-img/qemu-img.ts';
import { createImage } from '../../support/guest/shut-off-vm.ts';
import { stubTool } from '../../support/scenes/stubbed-pool.ts';

const PATH = process.env['PATH'];
const isRoot = process.geteuid?.() === 0;
const OVERFLOW_USER = '65534';
let folder: string;
let image: string;

/** Which only root may enter, as folders of images often are. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-confined-'));
  image = await createImage(join(folder, 'image'));
  await chmod(image, 0o600);
});
afterEach(async () => {
  process.env['PATH'] = PATH;
  await rm(folder, { recursive: true });
});

/** Stands for qemu-img, in a folder that all may read. */
async function standIn(text: string): Promise<void> {
  await chmod(folder, 0o755);
  const bin = join(folder, 'bin');
  await mkdir(bin, { mode: 0o755 });
  await stubTool(bin, 'qemu-img', text);
  process.env['PATH'] = [bin, PATH].join(delimiter);
}

const questions = {
  info: () => readHeader(image, 'qcow2'),
  measure: () => measure([{ path: image, format: 'qcow2' }], 'qcow2'),
  map: () => dataExtents(image),
  'map of an overlay': () => isStillEmpty(image),
  check: () => checkImage(image),
  compare: () => sameBytes(image, image),
};
const asked = Object.entries(questions);

describe('a tool that only reads', () => {
  it('may read files of all users, and nothing else, with bounded memory', async () => {
    const options = { onlyReads: true };
    const status = await run('cat', ['/proc/self/status'], options);
    const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1];
    const limits = await run('cat', ['/proc/self/limits'], options);
    expect(limits).toMatch(/^Max address space +4294967296 /m);
    if (!isRoot) return;
    expect(field('Uid')?.split('\t')[0]).toBe(OVERFLOW_USER);
    expect(field('NoNewPrivs')).toBe('1');
    for (const set of ['CapEff', 'CapPrm', 'CapBnd'])
      expect(parseInt(field(set) ?? '', 16)).toBe(4);
    expect(await run('wc', ['-c', image], options)).toContain(image);
    await expect(run('touch', [image], options)).rejects.toThrow('Permission denied');
  });

  it.each(asked)('is asked so: %s', async (_, ask) => {
    await standIn('echo "run by $(id -u)" >&2; exit 9');
    const uid = isRoot ? OVERFLOW_USER : String(process.geteuid?.());
    await expect(ask()).rejects.toThrow(`run by ${uid}`);
  });

  it('keeps the rights of the agent where a server or a program says who may read', async () => {
    expect(await isReadByRight([image])).toBe(true);
    expect(await isReadByRight([image, '/proc/self/maps'])).toBe(false);
  });

  it('is not confined where it changes the image', async () => {
    await standIn('echo "run by $(id -u)" >&2; exit 9');
    await expect(repairLeaks(image)).rejects.toThrow(`run by ${process.geteuid?.() ?? ''}`);
  });
});

it('an agent that cannot give its rights up bounds the memory only', () => {
  expect(mayConfine('CapEff:\t0000000000000006')).toBe(false);
  expect(mayConfine('CapEff:\t000001ffffffffff')).toBe(true);
});
