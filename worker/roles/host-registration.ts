/** Leaves the host's name in each of its pools, so that other hosts ask it before they delete. */
import { registerHost } from '../../activities/pool-folder/hosts.ts';
import { ensureKnownPool } from '../../activities/pool-folder/known-pools.ts';
import { isFilePool, observePools, type Pool } from '../../activities/adapters/virsh/pools.ts';
import type { Libvirt } from '../../activities/adapters/virsh/domains.ts';
import type { RoleContext } from './role.ts';

const POOLS_EVERY_MS = 5000;

/** Also in pools that appear later. A pool that cannot be written is told of once. */
export async function registerInPools(
  { config: { host, stateDir }, log }: RoleContext,
  libvirt: Libvirt,
): Promise<{ stop(): void }> {
  const told = new Set<string>();
  const register = async (folder: string) => {
    const missing = await ensureKnownPool(stateDir, folder);
    if (missing) throw new Error(`${missing.now}. ${missing.next}`);
    await registerHost(folder, host);
  };
  const look = async () => {
    const pools = await observePools(libvirt).catch((): Pool[] => []);
    for (const { name, folder } of pools.filter(isFilePool)) {
      await register(folder).then(
        () => told.delete(name),
        ({ message: reason }: Error) => {
          if (told.has(name)) return;
          told.add(name);
          log.warn({ pool: name, reason }, 'other hosts cannot see that this one uses the pool');
        },
      );
    }
  };
  await look();
  const timer = setInterval(() => void look(), POOLS_EVERY_MS);
  return { stop: () => clearInterval(timer) };
}
