/** Who is the SPM of each pool. */
import type { PoolLease } from '../../workflows/image-schemas.ts';
import { observeFlockLease } from '../adapters/flock-lease.ts';
import { filePoolTypes, observePools, type Pool } from '../adapters/pools.ts';
import type { HostDeps } from './deps.ts';

export async function observeLeases({ libvirt }: HostDeps): Promise<PoolLease[]> {
  const pools = await observePools(libvirt);
  return Promise.all(pools.map(leaseOf));
}

async function leaseOf({ name: pool, type, folder }: Pool): Promise<PoolLease> {
  const known = { pool, type, last: null };
  if (folder === null || !filePoolTypes.includes(type)) {
    return { ...known, unserved: `pools of type ${type} are not supported` };
  }
  try {
    return { ...known, unserved: null, last: await observeFlockLease(folder) };
  } catch (error) {
    return { ...known, unserved: (error as Error).message };
  }
}
