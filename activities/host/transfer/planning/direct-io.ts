/** Whether QEMU can open the copies as it opens the sources: past the page cache. */
import { refused } from '../../../../workflows/operation/failures.ts';
import { opensDirectly } from '../../../adapters/files/direct-io.ts';
import type { Chain } from '../../chain/observe-chain.ts';
import { withProbeIfRoom } from '../../../pool-folder/probes.ts';

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
  if (!mode || ((await withProbeIfRoom(folder, opensDirectly)) ?? true)) return;
  throw refused('no-direct-io', {
    attempted,
    now:
      `disk ${chain.disk} has cache='${mode}', and the file system of ${folder} has no O_DIRECT: ` +
      'the VM could not start from there; nothing was touched',
    next: "Choose another pool, or give the disk another mode (`cache='writeback'`) first",
  });
}

/** As it runs, or as its record has it for the next start. */
function directMode({ live, persistentDomain, disk }: Chain): string | undefined {
  return [live, persistentDomain]
    .map((domain) => domain?.disks.find(({ target }) => target === disk)?.cacheMode ?? '')
    .find((mode) => DIRECT.has(mode));
}
