/**
 * The dirty bitmaps of the volumes that an offline commit makes superfluous: checkpoints, which the
 * next incremental backup counts on. A live commit carries them by itself (libvirt).
 */
import { inLine } from '../../../workflows/operation/words.ts';
import type { Volume } from '../../../workflows/chain/schemas.ts';
import {
  addBitmap,
  enableBitmap,
  mergeBitmap,
  type DirtyBitmap,
} from '../../adapters/qemu-img/bitmaps.ts';
import { readHeader, type ImageHeader } from '../../adapters/qemu-img/qemu-img.ts';

/** One by its name, in all volumes that have it. */
interface Carried {
  name: string;
  granularityBytes: number;
  /** In some volume it records what is written. */
  isEnabled: boolean;
  /** Volumes that have it. */
  from: { path: string; header: ImageHeader }[];
}

interface Layer {
  path: string;
  header: ImageHeader;
}

/** A broken one is of no use for a backup, and is not carried. */
export function bitmapsIn(committed: readonly Layer[]): Carried[] {
  const found = new Map<string, Carried>();
  for (const layer of committed) {
    for (const { name, isEnabled, isBroken, granularityBytes } of layer.header.bitmaps) {
      if (isBroken) continue;
      const known = found.get(name) ?? { name, granularityBytes, isEnabled: false, from: [] };
      known.isEnabled ||= isEnabled;
      known.from.push(layer);
      found.set(name, known);
    }
  }
  return [...found.values()];
}

/** Why base can hold no dirty bitmaps of these names, null when it can. */
export function obstacleToHold({ path, header }: Layer, names: readonly string[]): string | null {
  if (names.length === 0) return null;
  const words = `and cannot hold the dirty bitmaps ${inLine(names.join(', '))}`;
  if (header.format === 'raw') return `${path} is raw, ${words}`;
  return header.isVersion2 ? `${path} has compat=0.10, ${words}` : null;
}

/** Why base cannot take them offline, null when it can. */
export function obstacleToCarry(base: Layer, bitmaps: readonly Carried[]): string | null {
  const { path } = base;
  const obstacle = obstacleToHold(
    base,
    bitmaps.map(({ name }) => name),
  );
  if (obstacle !== null) return obstacle;
  const sizeOf = ({ header: { virtualSizeBytes } }: Layer) => virtualSizeBytes;
  const odd = bitmaps.find(
    ({ isEnabled, from }) => !isEnabled && from.some((layer) => sizeOf(layer) !== sizeOf(base)),
  );
  return odd ? `the disabled dirty bitmap ${odd.name} is of another size than ${path}` : null;
}

/**
 * Before the commit, so that nothing has to follow it: an enabled bitmap of base records all that
 * is committed. That is at least what was written since the bitmap was made, as base was not
 * written then. May run any number of times.
 */
export async function carryBitmaps(base: Volume, committed: readonly Volume[]): Promise<void> {
  const read = async ({ path, format }: Volume) => ({
    path,
    header: await readHeader(path, format),
  });
  const bitmaps = bitmapsIn(await Promise.all(committed.map(read)));
  if (bitmaps.length === 0) return;
  const before = (await read(base)).header.bitmaps;
  for (const bitmap of bitmaps) await carry(base.path, bitmap, before);
}

async function carry(path: string, bitmap: Carried, before: readonly DirtyBitmap[]): Promise<void> {
  const { name, isEnabled, from } = bitmap;
  const own = before.find((candidate) => candidate.name === name);
  // Also while a commit runs that an earlier life of the agent has started, after this.
  if (own?.isBroken) return;
  if (!own) await addBitmap(path, bitmap);
  else if (isEnabled && !own.isEnabled) await enableBitmap(path, name);
  // A disabled one records nothing of the commit.
  for (const layer of isEnabled ? [] : from) await mergeBitmap(path, name, layer.path);
}
