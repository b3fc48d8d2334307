/** The overlay that is to stand on a layer. */
import { basename, dirname } from 'node:path';
import type { CopyTarget } from '../../../../workflows/chain/references.ts';
import type { Volume } from '../../../../workflows/chain/schemas.ts';
import type { PlannedDisk } from '../../../../workflows/snapshot/create/plan.ts';
import { observeFile } from '../../../adapters/files/files.ts';
import { asFileName } from '../../../adapters/qemu-img/qemu-img.ts';
import { identityOfPool, nameVolume } from '../../../pool-folder/id.ts';
import type { Chain } from '../../chain/observe-chain.ts';

/** A disk with the layers below the overlay, base-most first. */
type Based = Pick<Chain, 'disk' | 'volumes' | 'headers'>;

/** @param ending of their file names: what follows the last dot */
export async function toOverlays(chains: readonly Based[], ending: string): Promise<PlannedDisk[]> {
  const disks = await Promise.all(chains.map((chain) => toOverlay(chain, ending)));
  const isAlone = ({ to, name }: PlannedDisk) =>
    disks.filter((one) => one.to.folder === to.folder && one.name === name).length === 1;
  // `web1.raw` and `web1.qcow2` of one VM, which libvirt itself would refuse.
  return disks.map((disk) =>
    isAlone(disk) ? disk : { ...disk, name: `${basename(disk.base.path)}.${ending}` },
  );
}

async function toOverlay(chain: Based, ending: string): Promise<PlannedDisk> {
  const base = chain.volumes.at(-1) as Volume;
  const special = chain.headers.get(base.path)?.special ?? [];
  const valueOf = (option: string) =>
    special.find((one) => one.startsWith(`${option}=`))?.slice(option.length + 1);
  const cluster = valueOf('cluster_size');
  return {
    disk: chain.disk,
    base: await nameVolume(base),
    baseFormat: base.format,
    virtualSizeBytes: base.virtualSizeBytes,
    clusterBytes: cluster === undefined ? null : Number(cluster),
    extendedL2: valueOf('extended_l2') === 'on',
    to: await poolFolderOf(base),
    name: overlayName(basename(base.path), ending),
    backingName: asFileName(basename(base.path)),
  };
}

/** As libvirt calls it: what follows the last dot is the snapshot. */
export function overlayName(base: string, snapshot: string): string {
  const dot = base.lastIndexOf('.');
  return `${dot > 0 ? base.slice(0, dot) : base}.${snapshot}`;
}

/** The folder of a volume, as its pool. */
export async function poolFolderOf({
  path,
  pool,
}: Pick<Volume, 'path' | 'pool'>): Promise<CopyTarget> {
  const folder = dirname(path);
  const facts = await observeFile(folder);
  const identity = await identityOfPool({ pool, folder }, facts?.identity ?? '');
  return { pool: pool ?? '', folder, identity };
}
