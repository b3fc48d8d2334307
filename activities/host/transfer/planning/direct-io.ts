/** Whether QEMU can open the copies as it opens the sources: past the page cache. */
import { refused } from '../../../../workflows/operation/failures.ts';
import { opensDirectly } from '../../../adapters/files/direct-io.ts';
import type { Chain } from '../../chain/observe-chain.ts';
import { isFull, withProbe } from '../../../pool-folder/probes.ts';

/** Modes in which QEMU opens every volume of a disk with O_DIRECT (`cache.direct`). */
const DIRECT = new Set(['none', 'directsync']);

/**
 * A VM whose disk says so does not start from a file system without O_DIRECT (ramfs, some of FUSE
 * and of networks). Tried with an empty file in the target pool.
 * @throws Refused `no-direct-io`
 */
export async function assertDirectIo(
  attempted: string,
  chain: Chain | null,
  folder: string,
): Promise<void> {
  const mode = chain && directMode(chain);
  if (!mode || (await takesDirectIo(folder))) return;
  throw refused('no-direct-io', {
    attempted,
    now:
      `disk ${chain.disk} has cache='${mode}', and the file system of ${folder} has no O_DIRECT: ` +
      'the VM could not start from there; nothing was touched',
    next: "Choose another pool, or give the disk another mode (`cache='writeback'`) first",
  });
}

/** As it runs, or as its record has it for the next start. */
function directMode({ live, persistentDomain, disk }: Chain): string | null {
  const disks = [live, persistentDomain].flatMap((domain) => domain?.disks ?? []);
  const modes = disks.flatMap(({ target, cacheMode }) =>
    target === disk && cacheMode !== null ? [cacheMode] : [],
  );
  return modes.find((mode) => DIRECT.has(mode)) ?? null;
}

async function takesDirectIo(folder: string): Promise<boolean> {
  return withProbe(folder, opensDirectly).catch((error: NodeJS.ErrnoException) => {
    // A full pool is waited for; then there is no probe.
    if (isFull(error)) return true;
    throw error;
  });
}
