/**
 * Takes volumes out of sight before they are wiped or unlinked: renamed into the pool's
 * `.blockflow/`, which pools do not list. A file that is not the planned one (another inode by that
 * name) is never touched.
 */
import { dirname } from 'node:path';
import { failureDetails, hold, retry } from '../../../workflows/operation/failures.ts';
import { END_PROCESS } from '../../../workflows/chain/other-hosts.ts';
import type { NamedVolume } from '../../../workflows/chain/references.ts';
import { linkCount, observeFile, renameDurably } from '../../adapters/files/files.ts';
import { isUnlocked } from '../../adapters/qemu-img/qemu-img.ts';
import { observePools } from '../../adapters/virsh/pools.ts';
import type { Libvirt } from '../../adapters/virsh/domains.ts';
import type { Effect } from '../../door/effect.ts';
import { holderOf } from './holders.ts';
import { volumeInPool } from './pool-boundary.ts';
import type { Tenure } from '../../pool-folder/lease.ts';
import { ensureOwnFolder } from '../../pool-folder/own-folder.ts';
import { quarantinePathOf } from '../../pool-folder/quarantine.ts';

export interface StorageDeps {
  libvirt: Libvirt;
  effect: Effect;
  /** What a long effect looks at while it lasts; the door looks before each. */
  tenure?: Pick<Tenure, 'assertHeld'>;
}

export interface Quarantined {
  volume: NamedVolume;
  quarantinedPath: string;
}

/** `retiring`: they stay there, and may come back. */
type Doing = 'deleting' | 'wiping' | 'retiring';

interface Input {
  jobId: string;
  /** Base-most first. */
  volumes: readonly NamedVolume[];
}

/**
 * Active layer first, so that what has its name is a chain that can be read, wherever it ends. All
 * are looked at before the first one is renamed.
 * @returns all in that order, also those that have no such name any more
 * @throws Hold `unproven` for one that is in use, or that this host's libvirt or another chain
 * needs: nothing was done. Retry `volume-in-use` once the
 * first one is out of sight: it is waited for, since no later run would delete the others.
 */
export async function quarantineAll(
  deps: StorageDeps,
  { jobId, volumes }: Input,
  doing: Doing,
): Promise<Quarantined[]> {
  const pools = await observePools(deps.libvirt);
  const found = volumes.map((named) => volumeInPool(pools, named, `${doing} ${named.path}`));
  const all = (await Promise.all(found))
    .map((volume) => ({ volume, quarantinedPath: quarantinePathOf(volume.path, jobId) }))
    .reverse();
  const [stillNamed, quarantined] = await Promise.all([
    whereFileIs(all, ({ volume }) => volume.path),
    whereFileIs(all, (one) => one.quarantinedPath),
  ]);
  const isBegun = quarantined.length > 0;
  // Also of a revert, whose VM's record has switched: what names one would lose it.
  await assertNotNeeded(deps, stillNamed, { doing, isBegun });
  // The last look, as this one is quick.
  for (const { volume } of stillNamed.toReversed()) {
    await assertUnused(volume.path, doing, isBegun);
  }
  await quarantineInTurn(deps, stillNamed, doing);
  return all;
}

async function quarantineInTurn(
  deps: StorageDeps,
  stillNamed: readonly Quarantined[],
  doing: Doing,
): Promise<void> {
  for (const [at, { volume, quarantinedPath }] of stillNamed.entries()) {
    // The looks at the others took their time, and the first one is out of sight.
    if (at > 0) await assertUnused(volume.path, doing, true);
    await deps.effect('storage.quarantine-volume', volume.path, async () => {
      await ensureOwnFolder(dirname(volume.path));
      await renameDurably(volume.path, quarantinedPath);
    });
  }
}

/** Those whose file is there under this name. */
async function whereFileIs(all: readonly Quarantined[], nameOf: (one: Quarantined) => string) {
  const facts = await Promise.all(all.map((one) => observeFile(nameOf(one))));
  return all.filter(({ volume }, at) => facts[at]?.identity === volume.identity);
}

async function assertUnused(path: string, doing: Doing, isBegun: boolean): Promise<void> {
  if (!(await isUnlocked(path))) {
    const why = 'some process has opened it since it was proven unused';
    throw inUse(path, { doing, isBegun, why, next: END_PROCESS });
  }
  if (doing === 'wiping') await assertOnlyName(path, isBegun);
}

/** Overwriting it would overwrite what others know by another name, perhaps outside of the pool. */
export async function assertOnlyName(path: string, isBegun: boolean): Promise<void> {
  const names = await linkCount(path);
  if (names === 1) return;
  const why = `it has ${names} names (hard links)`;
  const next = 'Copy what is needed under the others (`find -samefile`), then remove those';
  throw inUse(path, { doing: 'wiping', isBegun, why, next });
}

async function assertNotNeeded(
  { libvirt }: StorageDeps,
  named: readonly Quarantined[],
  use: Pick<Use, 'doing' | 'isBegun'>,
): Promise<void> {
  const volumes = named.map(({ volume }) => volume);
  const holder = await holderOf(libvirt, volumes).catch((error: unknown) => {
    const unproven = failureDetails(error)?.details;
    // What is begun is not given up.
    if (!use.isBegun || unproven === undefined) throw error;
    return { why: unproven.now, next: 'Look at what it names' };
  });
  if (holder === null) return;
  throw inUse(volumes.map(({ path }) => path).join(', '), { ...use, ...holder });
}

interface Use {
  doing: Doing;
  isBegun: boolean;
  why: string;
  next: string;
}

function inUse(path: string, { doing, isBegun, why, next }: Use) {
  const attempted = `${doing} ${path}`;
  if (!isBegun) {
    const now = `${why}; it is kept, and nothing in its pool was touched`;
    return hold('unproven', { attempted, now, next: `${next}, then repeat the request` });
  }
  return retry('volume-in-use', {
    attempted,
    now: `${why}; it is kept, but other volumes of its image are out of sight already`,
    next: `${next}; once it is unused, blockflow goes on by itself`,
  });
}
