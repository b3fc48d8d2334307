/** Which side of a change of layers a VM's record is on. */
import { dirname } from 'node:path';
import type { NamedVolume } from '../../../../workflows/chain/references.ts';
import type { DiskSwitch } from '../../../../workflows/snapshot/revert/plan.ts';
import { observeFile } from '../../../adapters/files/files.ts';
import type { XmlDomain } from '../../../adapters/libvirt-xml/domain-xml.ts';
import { identityIn } from '../../../pool-folder/id.ts';

export type Side = 'from' | 'to' | 'other';

/** Of one disk. A layer is known by its inode (I6). */
export interface DiskSide {
  disk: string;
  side: Side;
  /** What the record names; null for no file. */
  names: string | null;
}

type Layers = Pick<DiskSwitch['disks'][number], 'disk' | 'from'> & {
  to: DiskSwitch['disks'][number]['to'] | null;
};

export function sidesOf(domain: XmlDomain | null, disks: readonly Layers[]): Promise<DiskSide[]> {
  const sides = disks.map(async ({ disk, from, to }): Promise<DiskSide> => {
    const found = domain?.disks.find(({ target }) => target === disk);
    const names = found?.chain.at(-1)?.path ?? null;
    const identity = names === null ? null : ((await observeFile(names))?.identity ?? null);
    // Its file is in quarantine, and comes back.
    const isFrom = names === from.volume.path && identity === null;
    if (isFrom || (await isFile(from.volume, identity))) return { disk, side: 'from', names };
    const isTo = to !== null && (await isFile(to.volume, identity));
    return { disk, side: isTo ? 'to' : 'other', names };
  });
  return Promise.all(sides);
}

const isFile = async (volume: NamedVolume, identity: string | null) =>
  identity !== null && (await identityIn(dirname(volume.path), volume)) === identity;

export const areAll = (sides: readonly DiskSide[], side: Side) =>
  sides.every((each) => each.side === side);

export const sidesInWords = (sides: readonly DiskSide[]) =>
  sides.map(({ disk, names }) => `${disk}: its record names ${names ?? 'no file'}`).join('; ');
