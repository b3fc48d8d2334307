/** Decides whether a copy is a conversion, and refuses one that would lose something. */
import { refused, type RefusalCode } from '../../../../workflows/operation/failures.ts';
import type { Conversion } from '../../../../workflows/transfer/plan.ts';
import { imageId } from '../../../../workflows/chain/references.ts';
import type { PlanRequest } from '../../../../workflows/transfer/request.ts';
import { dataExtents } from '../../../adapters/qemu-img/compare.ts';
import { measure } from '../../../adapters/qemu-img/qemu-img.ts';
import { mergeCommand } from './guards.ts';
import type { Image } from '../../chain/observe-image.ts';

type SourceVolume = Image['volumes'][number];

/**
 * Null where containers are copied byte for byte. Preallocation needs a new container, even in
 * the same format.
 * @throws Refused
 */
export function planConversion(request: PlanRequest, image: Image): Conversion | null {
  const { preallocation } = request;
  const volume = image.volumes.at(-1) as SourceVolume;
  const format = request.format === 'keep' ? volume.format : request.format;
  const isSameFormat = image.volumes.every((v) => request.format === 'keep' || v.format === format);
  if (isSameFormat && preallocation === 'off') return null;
  const obstacle = conversionObstacle(image, volume, { format, preallocation });
  if (obstacle) {
    const { code, now, next } = obstacle;
    const attempted = `rewriting ${imageId(request.image)} as ${format}`;
    throw refused(code, { attempted, now: `${now}; nothing was done`, next });
  }
  return { format, preallocation, virtualSizeBytes: volume.header.virtualSizeBytes };
}

interface Obstacle {
  code: RefusalCode;
  now: string;
  next: string;
}

function conversionObstacle(
  { ref, volumes }: Image,
  { path, header }: SourceVolume,
  { format, preallocation }: Omit<Conversion, 'virtualSizeBytes'>,
): Obstacle | null {
  if (format === 'raw' && preallocation === 'metadata') {
    const now = 'a raw image has no metadata that could be preallocated';
    return { code: 'invalid-request', now, next: 'Choose --preallocation off, falloc or full' };
  }
  if (volumes.length > 1) {
    const merge = mergeCommand(ref);
    return {
      code: 'several-volumes',
      now: `it has ${volumes.length} volumes, and only a single volume can be rewritten`,
      next: `Merge them first (\`${merge}\`), or leave --format and --preallocation out`,
    };
  }
  const { internalSnapshots, bitmaps, encrypted } = header;
  if (internalSnapshots.length > 0) {
    const lost = internalSnapshots.map(({ name }) => name).join(', ');
    const now = `it would lose the internal snapshots of ${path}: ${lost}`;
    return { code: 'internal-snapshots', now, next: 'Delete them first, or keep its format' };
  }
  if (bitmaps.length > 0) {
    const names = bitmaps.map(({ name }) => name).join(', ');
    const now = `it would lose the dirty bitmaps of ${path}: ${names}`;
    const next = 'Remove them first (`qemu-img bitmap --remove`), or keep its format';
    return { code: 'dirty-bitmaps', now, next };
  }
  if (!encrypted) return null;
  const now = `${path} is encrypted, and blockflow has no key`;
  return { code: 'unsupported-format', now, next: 'Keep its format' };
}

/** Bytes that the copy takes in its pool. */
export async function spaceFor(
  { path, format }: SourceVolume,
  convert: Conversion,
): Promise<number> {
  const { format: to, preallocation } = convert;
  if (to === 'qcow2' || preallocation !== 'off') return measure(path, format, to, preallocation);
  // `measure` counts the holes of a raw target, too.
  const extents = await dataExtents(path, format);
  return extents.reduce((sum, { length }) => sum + length, 0);
}
