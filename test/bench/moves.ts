/** MoveImage against the fastest of the usual tools on the same disks. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { median, type Row } from './figures.ts';
import {
  createImage,
  forget,
  GIB,
  move,
  otherPool,
  pathOf,
  seconds,
  withMoves,
  type Image,
  type MovesScene,
} from './moves-scene.ts';

export const movesOf = (format: Image['format'], kind: 'full' | 'sparse') => (quick: boolean) =>
  withMoves(async (scene) => {
    const full = quick ? GIB / 2 : 4 * GIB;
    const dataBytes = kind === 'full' ? full : GIB / 16;
    const contest = { words: `4 GiB ${format}, ${kind}`, repeats: quick ? 1 : 3 };
    return againstTools(scene, { vm: `${format}-${kind}`, format, dataBytes }, contest);
  });

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
async function withTool(
  scene: MovesScene,
  image: Image,
  { tool, compares, note }: { tool: string; compares: boolean; note: Note },
): Promise<void> {
  const source = pathOf(scene, image);
  const target = join(otherPool(scene, image).folder, 'by-hand');
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

interface Contest {
  words: string;
  repeats: number;
}

async function againstTools(scene: MovesScene, image: Image, contest: Contest): Promise<Row[]> {
  await createImage(scene, image);
  const times = new Map<string, number[]>();
  const note: Note = (what, milliseconds) =>
    times.set(what, [...(times.get(what) ?? []), milliseconds]);
  const names = Object.keys(tools);
  for (let i = 0; i < contest.repeats; i++) {
    for (const [at, tool] of names.entries()) {
      await forget(scene, image);
      await withTool(scene, image, { tool, compares: at === i % names.length, note });
    }
    for (const verify of ['none', 'full'] as const) {
      await forget(scene, image);
      note(verify, await move(scene, image, { verify }));
    }
  }
  return rowsOf(times, contest);
}

function rowsOf(times: Map<string, number[]>, { words, repeats }: Contest): Row[] {
  const of = (what: string) => median(times.get(what) ?? []);
  const [fastest = ''] = Object.keys(tools).sort((a, b) => of(a) - of(b));
  const all = Object.keys(tools).map((tool) => `${tool} ${seconds(of(tool))}`);
  const row = (what: string, ours: number, theirs: number, than: string): Row => ({
    what,
    measured: `${seconds(ours)}, ${than}, ratio ${(ours / theirs).toFixed(2)}, n=${repeats}`,
    goal: 'ratio at most 1',
    met: ours <= theirs,
  });
  const both = of(fastest) + of('compared');
  const than = `${fastest} and one comparison ${seconds(both)}`;
  return [
    row(`move of ${words}, not verified`, of('none'), of(fastest), all.join(', ')),
    row(`move of ${words}, verified`, of('full'), both, than),
  ];
}
