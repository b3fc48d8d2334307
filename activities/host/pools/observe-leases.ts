/** Who is the SPM of each pool. */
import type { PoolLease } from '../../../workflows/pools/activities.ts';
import { observeFlockLease } from '../../pool-folder/flock-lease.ts';
import { isFilePool, observePools, type Pool } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';

export async function observeLeases({ libvirt }: HostDeps): Promise<PoolLease[]> {
  const pools = await observePools(libvirt);
  return Promise.all(pools.map(leaseOf));
}

async function leaseOf(pool: Pool): Promise<PoolLease> {
  const known = { pool: pool.name, type: pool.type, last: null };
  if (!isFilePool(pool)) {
    return { ...known, unserved: `pools of type ${pool.type} are not supported` };
  }
  try {
    return { ...known, unserved: null, last: await observeFlockLease(pool.folder) };
  } catch (error) {
    return { ...known, unserved: (error as Error).message };
  }
}
