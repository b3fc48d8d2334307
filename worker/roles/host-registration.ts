/** Leaves the host's name in each of its pools, so that other hosts ask it before they delete. */
import { NameTaken, registerHost } from '../../activities/pool-folder/hosts.ts';
import {
  ensureKnownPool,
  missingPool,
  type MissingPool,
} from '../../activities/pool-folder/known-pools.ts';
import { otherMachine, runItThere } from '../../activities/pool-folder/own-machine.ts';
import { removeStaleProbes } from '../../activities/pool-folder/probes.ts';
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
  assertThere(await missingPool(stateDir, folder));
  await removeStaleProbes(folder);
  const other = await otherMachine(libvirt, folder);
  if (other !== null) throw new OtherMachine(`${other}. ${runItThere(other)}`);
  assertThere(await ensureKnownPool(stateDir, folder));
}

function assertThere(missing: MissingPool | null): void {
  if (missing) throw new Error(`${missing.now}. ${missing.next}`);
}

/**
 * Of every pool that is there when an agent starts; what cannot be told then is told later.
 * @returns the folders of which it is true
 * @throws OtherMachine
 */
export async function assertOwnPools(libvirt: Libvirt, stateDir: string): Promise<Set<string>> {
  const own = new Set<string>();
  for (const { folder } of (await poolsOf(libvirt)).filter(isFilePool)) {
    await assertOwnPool(libvirt, stateDir, folder).then(
      () => own.add(folder),
      (error: unknown) => {
        if (error instanceof OtherMachine) throw error;
      },
    );
  }
  return own;
}

const poolsOf = (libvirt: Libvirt) => observePools(libvirt).catch((): Pool[] => []);

/**
 * Also in pools that appear later. A pool that cannot be written is told of once.
 * @throws OtherMachine when libvirt does not see the files of this machine; NameTaken
 */
export async function registerInPools(
  { config: { host, stateDir }, log }: RoleContext,
  libvirt: Libvirt,
  machine: string,
): Promise<{ stop(): void }> {
  const told = new Set<string>();
  const own = await assertOwnPools(libvirt, stateDir);
  const register = async (folder: string) => {
    if (!own.has(folder) || (await missingPool(stateDir, folder))) {
      own.delete(folder);
      await assertOwnPool(libvirt, stateDir, folder);
      own.add(folder);
    }
    await registerHost(folder, { host, machine });
  };
  let isStarting = true;
  const look = async () => {
    for (const { name, folder } of (await poolsOf(libvirt)).filter(isFilePool)) {
      await register(folder).then(
        () => told.delete(name),
        (error: Error) => {
          // Later its plans are refused.
          if (isStarting && error instanceof NameTaken) throw error;
          const { message: reason } = error;
          if (told.has(name)) return;
          told.add(name);
          log.warn({ pool: name, reason }, 'other hosts cannot see that this one uses the pool');
        },
      );
    }
  };
  await look();
  isStarting = false;
  const timer = setInterval(() => void look(), POOLS_EVERY_MS);
  return { stop: () => clearInterval(timer) };
}
