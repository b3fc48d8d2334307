/** MoveImage against the fastest of the usual tools on the same disks; and what a death costs. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Blockflow, MoveRequest, Operation, TransferResult } from '../../client/index.ts';
import { awaitRemoval, connectTo } from '../support/blockflow-client.ts';
import { createGuestDisk } from '../support/guest-disk.ts';
import { defineGuest } from '../support/guest.ts';
import { POOL, startSharedSystem } from '../support/merge-scene.ts';
import { growOverlay } from '../support/snapshots.ts';
import type { System } from '../support/system.ts';
import { median, type Row } from './figures.ts';

const GIB = 2 ** 30;
const OTHER = 'other';

interface Image {
  vm: string;
  format: 'qcow2' | 'raw';
  /** Of the 4 GiB that the disk has. */
  dataBytes: number;
  words: string;
}

interface Bench {
  system: System;
  blockflow: Blockflow;
  /** Pool in which an image is now. */
  at: Map<string, string>;
}

export const movesOf = (format: Image['format'], kind: 'full' | 'sparse') => (quick: boolean) =>
  withBench(async (bench) => {
    const full = quick ? GIB / 2 : 4 * GIB;
    const [vm, words] = [`${format}-${kind}`, `4 GiB ${format}, ${kind}`];
    const image = { vm, format, dataBytes: kind === 'full' ? full : GIB / 16, words };
    return againstTools(bench, image, quick ? 1 : 3);
  });

export const resumedMove = (quick: boolean) =>
  withBench(async (bench) => [await resumed(bench, quick)]);

async function withBench(measure: (bench: Bench) => Promise<Row[]>): Promise<Row[]> {
  const system = await startSharedSystem({ name: 'moves', onDisk: true });
  await system.host.definePool(OTHER);
  const blockflow = await connectTo(system);
  const bench = { system, blockflow, at: new Map<string, string>() };
  try {
    await warmUp(bench);
    return await measure(bench);
  } finally {
    await blockflow.close();
    await system.close();
  }
}

/** The first move waits until the SPM agent has seen that there is another pool. */
async function warmUp(bench: Bench): Promise<void> {
  const image: Image = { vm: 'first', format: 'qcow2', dataBytes: 2 ** 20, words: '' };
  await create(bench, image);
  await move(bench, image, { verify: 'none' });
}

const folder = ({ system }: Bench, pool: string) => join(system.host.pools, pool);
const file = ({ vm, format }: Image) => `${vm}.${format}`;
const elsewhere = (pool: string) => (pool === POOL ? OTHER : POOL);

async function create(bench: Bench, image: Image): Promise<void> {
  const { vm, format, dataBytes } = image;
  const path = join(folder(bench, POOL), file(image));
  const disk = await createGuestDisk(path, { format, virtualSizeBytes: 4 * GIB + 64 * 2 ** 20 });
  await growOverlay(disk, { bytes: dataBytes });
  await defineGuest(bench.system.host, { name: vm, disk });
  bench.at.set(vm, POOL);
}

/**
 * Milliseconds until the image is usable in the other pool, without the source's deletion.
 * @param meanwhile what happens to the move
 */
async function move(
  { blockflow, at }: Bench,
  { vm }: Image,
  options: Pick<MoveRequest, 'verify' | 'bandwidthBytesPerSecond'>,
  meanwhile: (operation: Operation<TransferResult>) => Promise<void> = () => Promise.resolve(),
): Promise<number> {
  const to = elsewhere(at.get(vm) ?? POOL);
  const begin = performance.now();
  const image = { kind: 'disk', vm, disk: 'vda' } as const;
  const operation = await blockflow.move({ image, to, ...options });
  await meanwhile(operation);
  const result = await operation.result();
  const took = performance.now() - begin;
  at.set(vm, to);
  await awaitRemoval(blockflow, result);
  return took;
}

/** The tools, each ending with the copy on the disk. */
const tools: Record<string, (format: string, from: string, to: string) => string[]> = {
  'qemu-img convert': (format, from, to) => [
    ...['qemu-img', 'convert', '-f', format, '-O', format, '-W', '-m', '16'],
    ...['-t', 'none', '-T', 'none', from, to],
  ],
  'cp --reflink=auto': (_, from, to) => ['cp', '--reflink=auto', from, to],
  nbdcopy: (_, from, to) => ['nbdcopy', '--flush', from, to],
};

type Note = (what: string, milliseconds: number) => void;

/** Until the copy is on the disk; and then, one tool a round, what a comparison of it takes. */
async function withTool(bench: Bench, image: Image, tool: string, compares: boolean, note: Note) {
  const at = bench.at.get(image.vm) ?? POOL;
  const source = join(folder(bench, at), file(image));
  const target = join(folder(bench, elsewhere(at)), 'by-hand');
  // nbdcopy writes into a file that is there.
  if (tool === 'nbdcopy') await execa('truncate', ['-r', source, target]);
  const [program = '', ...args] = tools[tool]?.(image.format, source, target) ?? [];
  const begin = performance.now();
  await execa(program, args);
  await execa('sync', [target]);
  note(tool, performance.now() - begin);
  if (compares) {
    const compareBegin = performance.now();
    await compare(image, tool, source, target);
    note('compared', performance.now() - compareBegin);
  }
  await rm(target);
}

/** Another container of the same data is no file that `cmp` could compare. */
const compare = ({ format }: Image, tool: string, source: string, target: string) =>
  tool === 'qemu-img convert'
    ? execa('qemu-img', ['compare', '-f', format, '-F', format, source, target])
    : execa('cmp', [source, target]);

/** Every contender begins with the source on the disk alone. */
async function forget(bench: Bench, image: Image): Promise<void> {
  const path = join(folder(bench, bench.at.get(image.vm) ?? POOL), file(image));
  await execa('sync', [path]);
  await execa('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none']);
}

async function againstTools(bench: Bench, image: Image, repeats: number): Promise<Row[]> {
  await create(bench, image);
  const times = new Map<string, number[]>();
  const note: Note = (what, milliseconds) =>
    times.set(what, [...(times.get(what) ?? []), milliseconds]);
  const names = Object.keys(tools);
  for (let i = 0; i < repeats; i++) {
    for (const [at, tool] of names.entries()) {
      await forget(bench, image);
      await withTool(bench, image, tool, at === i % names.length, note);
    }
    for (const verify of ['none', 'full'] as const) {
      await forget(bench, image);
      note(verify, await move(bench, image, { verify }));
    }
  }
  await bench.system.host.virsh('undefine', image.vm);
  await rm(join(folder(bench, bench.at.get(image.vm) ?? POOL), file(image)));
  return rowsOf(image, times, repeats);
}

const s = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`;

function rowsOf(image: Image, times: Map<string, number[]>, repeats: number): Row[] {
  const of = (what: string) => median(times.get(what) ?? []);
  const [fastest = ''] = Object.keys(tools).sort((a, b) => of(a) - of(b));
  const all = Object.keys(tools).map((tool) => `${tool} ${s(of(tool))}`);
  const row = (what: string, ours: number, theirs: number, than: string): Row => ({
    what,
    measured: `${s(ours)}, ${than}, ratio ${(ours / theirs).toFixed(2)}, n=${repeats}`,
    goal: 'ratio at most 1',
    met: ours <= theirs,
  });
  const compared = of('compared');
  return [
    row(`move of ${image.words}, not verified`, of('none'), of(fastest), all.join(', ')),
    row(
      `move of ${image.words}, verified`,
      of('full'),
      of(fastest) + compared,
      `${fastest} and one comparison ${s(of(fastest) + compared)}`,
    ),
  ];
}

/** The host agent is killed at 90 % of a copy that a limit makes long, and started at once. */
async function resumed(bench: Bench, quick: boolean): Promise<Row> {
  const seconds = quick ? 20 : 100;
  const image: Image = { vm: 'killed', format: 'raw', dataBytes: GIB, words: '' };
  await create(bench, image);
  const limit = { bandwidthBytesPerSecond: Math.round(GIB / seconds), verify: 'none' } as const;
  const whole = await move(bench, image, limit);
  const struck = await move(bench, image, limit, async (operation) => {
    for await (const { progress } of operation.progress({ everyMs: 250 })) {
      if ((progress?.percent ?? 0) >= 90) break;
    }
    await bench.system.killRole('host');
    await bench.system.startRole('host');
  });
  const ratio = struck / whole;
  return {
    what: `a copy of ${seconds} s whose host agent is killed at 90 %`,
    measured: `${s(struck)}, uninterrupted ${s(whole)}, ratio ${ratio.toFixed(2)}`,
    goal: 'ratio at most 1.15',
    met: ratio <= 1.15,
  };
}
