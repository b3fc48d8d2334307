/** Leaves the host's name in each of its pools, so that other hosts ask it before they delete. */
import { registerHost } from '../../activities/pool-folder/hosts.ts';
import { ensureKnownPool, missingPool } from '../../activities/pool-folder/known-pools.ts';
import {
  otherMachine,
  removeStaleProbes,
  RUN_IT_THERE,
} from '../../activities/pool-folder/own-machine.ts';
import { isFilePool, observePools, type Pool } from '../../activities/adapters/virsh/pools.ts';
import type { Libvirt } from '../../activities/adapters/virsh/domains.ts';
import type { RoleContext } from './role.ts';

const POOLS_EVERY_MS = 5000;

/** Its files are not ours: nothing may be changed by its word. */
export class OtherMachine extends Error {
  override readonly name = 'OtherMachine';
}

/**
 * The folder holds the pool that it always held, and libvirt sees it.
 * @throws OtherMachine; an Error with what is missing; of the file system
 */
export async function assertOwnPool(
  libvirt: Libvirt,
  stateDir: string,
  folder: string,
): Promise<void> {
  const missing = await missingPool(stateDir, folder);
  if (missing) throw new Error(`${missing.now}. ${missing.next}`);
  await removeStaleProbes(folder);
  const other = await otherMachine(libvirt, folder);
  if (other !== null) throw new OtherMachine(`${other}. ${RUN_IT_THERE}`);
  await ensureKnownPool(stateDir, folder);
}

/**
 * Of every pool that is there when an agent starts; what cannot be told then is told later.
 * @throws OtherMachine
 */
export async function assertOwnPools(libvirt: Libvirt, stateDir: string): Promise<void> {
  for (const { folder } of (await poolsOf(libvirt)).filter(isFilePool)) {
    await assertOwnPool(libvirt, stateDir, folder).catch((error: unknown) => {
      if (error instanceof OtherMachine) throw error;
    });
  }
}

const poolsOf = (libvirt: Libvirt) => observePools(libvirt).catch((): Pool[] => []);

/**
 * Also in pools that appear later. A pool that cannot be written is told of once.
 * @throws OtherMachine when libvirt does not see the files of this machine
 */
export async function registerInPools(
  { config: { host, stateDir }, log }: RoleContext,
  libvirt: Libvirt,
): Promise<{ stop(): void }> {
  const told = new Set<string>();
  const own = new Set<string>();
  const register = async (folder: string) => {
    const missing = own.has(folder) ? await missingPool(stateDir, folder) : null;
    if (missing) own.delete(folder);
    if (!own.has(folder)) await assertOwnPool(libvirt, stateDir, folder);
    own.add(folder);
    await registerHost(folder, host);
  };
  const look = async () => {
    for (const { name, folder } of (await poolsOf(libvirt)).filter(isFilePool)) {
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
  await assertOwnPools(libvirt, stateDir);
  await look();
  const timer = setInterval(() => void look(), POOLS_EVERY_MS);
  return { stop: () => clearInterval(timer) };
}
