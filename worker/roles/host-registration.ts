/** Leaves the host's name in each of its pools, so that other hosts ask it before they delete. */
import { NameTaken, registerHost } from '../../activities/pool-folder/hosts.ts';
import {
  ensureKnownPool,
  missingPool,
  type MissingPool,
} from '../../activities/pool-folder/known-pools.ts';
import { otherMachine, runItThere } from '../../activities/pool-folder/own-machine.ts';
import { removeStaleProbes } from '../../activities/pool-folder/probes.ts';
import {
  isFilePool,
  observePools,
  type FilePool,
  type Pool,
} from '../../activities/adapters/virsh/pools.ts';
import type { Libvirt } from '../../activities/adapters/virsh/domains.ts';
import type { RoleContext } from './role.ts';

const POOLS_EVERY_MS = 5000;
/** An agent starts, and stops, without a pool that does not answer for so long. */
const PATIENCE_MS = 10_000;

/** @returns when all are done, or the time is over. @throws what one of them throws until then */
export async function forAWhile(looks: readonly Promise<unknown>[]): Promise<void> {
  const { promise: isOver, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, PATIENCE_MS);
  await Promise.race([Promise.all(looks), isOver]).finally(() => clearTimeout(timer));
}

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
  const look = ({ folder }: FilePool) =>
    assertOwnPool(libvirt, stateDir, folder).then(
      () => void own.add(folder),
      (error: unknown) => {
        if (error instanceof OtherMachine) throw error;
      },
    );
  await forAWhile((await poolsOf(libvirt)).filter(isFilePool).map(look));
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
  ids: { machine: string; installation: string },
): Promise<{ stop(): void }> {
  const told = new Set<string>();
  const own = await assertOwnPools(libvirt, stateDir);
  const register = async (folder: string) => {
    if (!own.has(folder) || (await missingPool(stateDir, folder))) {
      own.delete(folder);
      await assertOwnPool(libvirt, stateDir, folder);
      own.add(folder);
    }
    await registerHost(folder, { host, ...ids });
  };
  let isStarting = true;
  const registering = new Set<string>();
  // Each by itself, and one that hangs once.
  const look = async ({ name, folder }: FilePool) => {
    if (registering.has(folder)) return;
    registering.add(folder);
    try {
      await register(folder);
      told.delete(name);
    } catch (error) {
      // Later its plans are refused.
      if (isStarting && error instanceof NameTaken) throw error;
      const reason = (error as Error).message;
      if (!told.has(name))
        log.warn({ pool: name, reason }, 'other hosts cannot see that this one uses the pool');
      told.add(name);
    } finally {
      registering.delete(folder);
    }
  };
  const lookAtAll = async () => (await poolsOf(libvirt)).filter(isFilePool).map(look);
  await forAWhile(await lookAtAll());
  isStarting = false;
  const timer = setInterval(() => void lookAtAll(), POOLS_EVERY_MS);
  return { stop: () => clearInterval(timer) };
}
