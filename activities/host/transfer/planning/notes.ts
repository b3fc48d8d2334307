/** What a copy lacks of its source beside data, and what a move leaves behind. */
import type { Conversion } from '../../../../workflows/transfer/plan.ts';
import { sizeWords } from '../../../../workflows/operation/words.ts';
import { dataExtents } from '../../../adapters/qemu-img/compare.ts';
import { droppedNotes } from '../../chain/dropped-options.ts';
import { linksTo } from '../../chain/links-to.ts';
import type { Image } from '../../chain/observe-image.ts';

type SourceVolume = Image['volumes'][number];

/** @param moves the source is deleted afterwards */
export async function observeNotes(
  { volumes, chain }: Image,
  convert: Conversion | null,
  moves: boolean,
): Promise<string[]> {
  const isLive = chain !== null && chain.vm.state !== 'off';
  const top = volumes.at(-1) as SourceVolume;
  // QEMU writes it, and its mirror has holes where it has none.
  const copied = isLive ? volumes.slice(0, -1) : volumes;
  const lost = convert ? [] : (await Promise.all(copied.map(lostReservation))).flat();
  if (isLive) lost.push(...lostOptions(top, convert ?? top, ['cluster_size=', 'extended_l2=']));
  else if (convert) lost.push(...lostOptions(top, convert));
  if (!moves || !chain) return lost;
  const isRaw = (convert ?? top).format === 'raw';
  const dropped = isRaw ? droppedNotes(chain.disk, chain.xmlDisk) : [];
  return [...lost, ...dropped, ...(await linksTo(chain, volumes))];
}

/** A new container has QEMU's defaults. */
function lostOptions(
  { path, header }: SourceVolume,
  { format }: Pick<Conversion, 'format'>,
  kept: readonly string[] = [],
): string[] {
  const special = header.special.filter((one) => !kept.some((name) => one.startsWith(name)));
  if (header.format !== 'qcow2' || format !== 'qcow2' || special.length === 0) return [];
  return [`the copy of ${path} does not keep ${special.join(', ')}, but has QEMU's defaults`];
}

/** Metadata of the file system takes some blocks, too. */
const LEAST_BYTES = 2 ** 20;

/** A copy has the data, and holes where nothing was written. */
async function lostReservation(volume: SourceVolume): Promise<string[]> {
  const { path, allocatedBytes, header } = volume;
  if (allocatedBytes < LEAST_BYTES) return [];
  // QEMU allocates a whole cluster for a small write; who reserves space does so for the disk.
  if (header.format === 'qcow2' && allocatedBytes < header.virtualSizeBytes) return [];
  const extents = await dataExtents(path);
  const reserved = allocatedBytes - extents.reduce((sum, { length }) => sum + length, 0);
  if (reserved < LEAST_BYTES) return [];
  return [`${sizeWords(reserved)} that are reserved for ${path} are not reserved for its copy`];
}
