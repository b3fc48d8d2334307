/** Decides whether a copy is a conversion, and refuses one that would lose something. */
import { refused, type RefusalCode } from '../../../../workflows/operation/failures.ts';
import { snapshotsNaming } from '../../snapshots/snapshots.ts';
import type { HostDeps } from '../../deps.ts';
import { identitiesOf } from '../../uses/volume-users.ts';
import type { Conversion } from '../../../../workflows/transfer/plan.ts';
import { imageId } from '../../../../workflows/chain/references.ts';
import type { PlanRequest } from '../../../../workflows/transfer/request.ts';
import { dataExtents } from '../../../adapters/qemu-img/compare.ts';
import { measure } from '../../../adapters/qemu-img/qemu-img.ts';
import { attempt, mergeCommand } from './guards.ts';
import type { Image } from '../../chain/observe-image.ts';
import { shell } from '../../../../workflows/operation/names.ts';

type SourceVolume = Image['volumes'][number];

/** Whether one volume is to take the place of several. */
export const isFlattened = ({ flatten }: PlanRequest, { volumes }: Image): boolean =>
  flatten && volumes.length > 1;

/**
 * Null where containers are copied byte for byte. Preallocation needs a new container, even in
 * the same format.
 * @throws Refused
 */
export function planConversion(request: PlanRequest, image: Image): Conversion | null {
  const { preallocation } = request;
  const volume = image.volumes.at(-1) as SourceVolume;
  const format = request.format === 'keep' ? volume.format : request.format;
  const isFlat = isFlattened(request, image);
  const isSameFormat = image.volumes.every((v) => request.format === 'keep' || v.format === format);
  if (isSameFormat && preallocation === 'off' && !isFlat) return null;
  const obstacle = conversionObstacle(image, isFlat, { format, preallocation });
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
  isFlat: boolean,
  { format, preallocation }: Omit<Conversion, 'virtualSizeBytes'>,
): Obstacle | null {
  if (format === 'raw' && preallocation === 'metadata') {
    const now = 'a raw image has no metadata that could be preallocated';
    return { code: 'invalid-request', now, next: 'Choose --preallocation off, falloc or full' };
  }
  if (volumes.length > 1 && !isFlat) {
    const merge = mergeCommand(ref);
    return {
      code: 'several-volumes',
      now: `it has ${volumes.length} volumes, and only a single volume can be rewritten`,
      next:
        `Add --flatten, or merge them first (\`${merge}\`), or leave out --format and ` +
        '--preallocation',
    };
  }
  for (const volume of volumes) {
    const obstacle = lostBy(volume);
    if (obstacle) return obstacle;
  }
  return null;
}

/** What a guest does not read of a volume, so that a new container lacks it. */
function lostBy({ path, header }: SourceVolume): Obstacle | null {
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

/**
 * libvirt's snapshots name layers that a flat copy does not have.
 * @throws Refused `has-snapshots`
 */
export async function assertNoSnapshots(
  deps: HostDeps,
  request: PlanRequest,
  image: Image,
): Promise<void> {
  const { chain, volumes } = image;
  if (!chain || request.operation === 'CopyImage' || !isFlattened(request, image)) return;
  const { uuid, name: vm } = chain.vm;
  const names = await snapshotsNaming(deps, uuid, identitiesOf(volumes));
  if (names.length === 0) return;
  throw refused('has-snapshots', {
    attempted: `${attempt(request)} as one volume`,
    now:
      `its layers belong to libvirt's snapshots ${names.join(', ')}, which a flat copy does not ` +
      'have; nothing was done',
    next:
      `Delete them first (${shell`blockflow snapshot delete ${vm} NAME`}), or leave ` +
      '--flatten out',
  });
}

/** Bytes that the copy takes in its pool. @param layers that are read, base-most first */
export async function spaceFor(
  layers: readonly SourceVolume[],
  convert: Conversion,
): Promise<number> {
  const { format: to, preallocation } = convert;
  if (to === 'qcow2' || preallocation !== 'off') return measure(layers, to, preallocation);
  // `measure` counts the holes of a raw target, too.
  const extents = await dataExtents(layers.at(-1)?.path ?? '', layers);
  return extents.reduce((sum, { length }) => sum + length, 0);
}
