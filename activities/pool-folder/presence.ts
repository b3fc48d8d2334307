/** Whether the pool that an image is copied to is there: its file system can go at any time. */
import { dirname } from 'node:path';
import { poolAway, retry } from '../../workflows/operation/failures.ts';
import type { ImagePlan } from '../../workflows/transfer/plan.ts';
import type { CopiesJob } from '../../workflows/pools/waiting.ts';
import type { NamedVolume } from '../../workflows/chain/references.ts';
import { observeFile } from '../adapters/files/files.ts';
import { reservationFolder } from './reservation.ts';
import { deviceOf, identityIn } from './id.ts';

type Target = ImagePlan['to'];

const facts = (path: string) => observeFile(path).catch(() => null);

/** A folder that has lost the reservation of a running job is not mounted, or does not answer. */
export const isReserved = async ({ folder }: Target, jobId: string): Promise<boolean> =>
  (await facts(reservationFolder(folder, jobId))) !== null;

/**
 * The device of the pool's folder, when a reservation that is not in it is truly gone: it is the
 * plan's, or holds the reservation. Else null.
 */
export async function mountOf(to: Target, jobId: string): Promise<string | null> {
  const [device, planned] = await Promise.all([deviceAt(to), identityIn(to.folder, to)]);
  const isPlanned = planned !== null && deviceOf(planned) === device;
  return isPlanned || (await isReserved(to, jobId)) ? device : null;
}

async function deviceAt({ folder }: Target): Promise<string | null> {
  const found = await facts(folder);
  return found && deviceOf(found.identity);
}

/** @throws Retry `pool-away`, which the workflow tells and waits for */
export async function assertReserved({ plan, jobId }: CopiesJob, attempted: string): Promise<void> {
  if (!(await isReserved(plan.to, jobId))) throw away(plan.to, attempted);
}

/**
 * For a step that is done once the reservation is gone: the file system is there before and after.
 * @throws Retry `pool-away`
 */
export async function whileMounted<T>(
  { plan, jobId }: CopiesJob,
  attempted: string,
  step: () => Promise<T>,
): Promise<T> {
  const device = await mountOf(plan.to, jobId);
  if (device === null) throw away(plan.to, attempted);
  const done = await step();
  if ((await deviceAt(plan.to)) !== device) throw away(plan.to, attempted);
  return done;
}

const away = ({ pool, folder }: Target, attempted: string) =>
  poolAway({
    attempted,
    now: `pool ${pool} is unavailable: ${folder} does not hold what was reserved there`,
    next: 'Mount its file system again; blockflow goes on by itself',
  });

/**
 * The volume with its `device:inode` on this host.
 * @param folder where its pool is here
 * @throws Retry `pool-away` when that is not the file system that was planned with
 */
export async function onThisHost(
  volume: NamedVolume,
  attempted: string,
  folder = dirname(volume.path),
): Promise<NamedVolume> {
  const identity = await identityIn(folder, volume);
  if (identity !== null) return { ...volume, identity };
  throw otherStorage(volume.pool, folder, attempted);
}

export const otherStorage = (pool: string, folder: string, attempted: string) =>
  retry('pool-away', {
    attempted,
    now: `${folder} is not the file system of pool ${pool} that was planned with`,
    next: 'Mount it again, and blockflow goes on by itself',
  });
