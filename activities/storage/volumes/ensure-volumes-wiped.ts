/**
 * Overwrites volumes before their deletion: really, since `vol-wipe` of a sparse file only
 * truncates it.
 */
import type { InputOf, ResultOf } from '../../../workflows/operation/activities.ts';
import type { poolsOnStorage } from '../../../workflows/pools/activities.ts';
import { Context } from '@temporalio/activity';
import { sizeWords } from '../../../workflows/operation/words.ts';
import { noSpace } from '../../../workflows/operation/failures.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { dataExtents } from '../../adapters/qemu-img/compare.ts';
import { overwrite } from '../../adapters/files/overwrite.ts';
import { observeSharing, subtract, type Extent } from '../../adapters/files/shared-extents.ts';
import { showProgress, type Show } from '../../door/attempt.ts';
import { assertOnlyName, quarantineAll, type StorageDeps } from './quarantine.ts';

type Wiped = Promise<ResultOf<typeof poolsOnStorage, 'ensureVolumesWiped'>>;

/**
 * Takes all volumes out of sight first, to where `ensureVolumesAbsent` finds and unlinks them; so
 * no process opens a half-wiped image.
 * @returns what was not overwritten, or may not have been, in sentences
 */
export async function ensureVolumesWiped(
  deps: StorageDeps,
  { jobId, volumes }: InputOf<typeof poolsOnStorage, 'ensureVolumesWiped'>,
  show: Show,
): Wiped {
  const warnings: string[] = [];
  for (const { volume, quarantinedPath } of await quarantineAll(
    deps,
    { jobId, volumes },
    'wiping',
  )) {
    if ((await observeFile(quarantinedPath))?.identity !== volume.identity) continue;
    await assertOnlyName(quarantinedPath, true);
    const [data, { shared, isInPlace }] = await Promise.all([
      dataExtents(quarantinedPath),
      observeSharing(quarantinedPath),
    ]);
    const own = subtract(data, shared);
    await wipe(deps, { path: volume.path, quarantinedPath, extents: own }, show);
    const sharedBytes = sizeOf(data) - sizeOf(own);
    if (sharedBytes > 0) warnings.push(`${sizeWords(sharedBytes)} of ${volume.path} ${SHARED}`);
    if (!isInPlace) warnings.push(`the old blocks of ${volume.path} ${ELSEWHERE}`);
  }
  return { warnings };
}

const SHARED =
  'were not overwritten: another file shares these blocks (a reflink), and its data is in them';
const ELSEWHERE =
  'may hold its data still: its file system writes elsewhere, or does not tell whether it does';

const sizeOf = (extents: readonly Extent[]) => extents.reduce((sum, { length }) => sum + length, 0);

interface Wipe {
  /** Where it was. */
  path: string;
  quarantinedPath: string;
  extents: Extent[];
}

/** The only effect that may last for hours. */
async function wipe(
  deps: StorageDeps,
  { path, quarantinedPath, extents }: Wipe,
  show: Show,
): Promise<void> {
  const tell = showProgress(show, { phase: 'wiping', totalBytes: sizeOf(extents) });
  const mayGoOn = inSteps(async () => {
    Context.current().cancellationSignal.throwIfAborted();
    await deps.tenure?.assertHeld(`wiping ${path}`);
  });
  const onWritten = async (bytes: number) => {
    await mayGoOn(bytes);
    tell(bytes);
  };
  try {
    await deps.effect('storage.wipe-volume', quarantinedPath, () =>
      overwrite(quarantinedPath, extents, onWritten),
    );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    throw noSpace({
      attempted: `wiping ${path}`,
      now: 'its file system writes elsewhere (copy on write) and is full; it is half overwritten',
      next: 'Free some space; blockflow goes on by itself',
    });
  }
}

/** A look costs some 50 µs, on NFS an answer of its server. */
const LOOK_EVERY_BYTES = 16 * 2 ** 20;

function inSteps(look: () => Promise<void>): (bytes: number) => Promise<void> {
  let next = LOOK_EVERY_BYTES;
  return async (bytes) => {
    if (bytes < next) return;
    next = bytes + LOOK_EVERY_BYTES;
    await look();
  };
}
