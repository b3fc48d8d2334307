/** The SPM agent: for every pool, a lease, and while it has that, a worker of the pool's queue. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from '@temporalio/worker';
import { childEnvironment } from '../../activities/adapters/process/environment.ts';
import { acquireFlockLease, observeFlockLease } from '../../activities/pool-folder/flock-lease.ts';
import { filePoolTypes, observePools, type Pool } from '../../activities/adapters/virsh/pools.ts';
import { createLibvirt, type Libvirt } from '../../activities/adapters/virsh/domains.ts';
import { createStorageActivities } from '../../activities/storage/index.ts';
import { assertOwnName } from '../../activities/pool-folder/hosts.ts';
import { observePoolId } from '../../activities/pool-folder/id.ts';
import { rememberOtherSpm } from '../../activities/pool-folder/known-pools.ts';
import { tenureOf, type Lease, type Tenure } from '../../activities/pool-folder/lease.ts';
import { spmQueue } from '../../workflows/operation/contract.ts';
import { assertOwnPool, assertOwnPools, forAWhile } from './host-registration.ts';
import { machineId } from '../machine-id.ts';
import { announceSpm } from './sole-spm.ts';
import { agentOptions, door, identityOf, run, type Role, type RoleContext } from './role.ts';

const POOLS_EVERY_MS = 5000;

/**
 * Serves the pools of its libvirt, also those that appear later; a pool that is gone no longer. How
 * one pool ends is no matter of the others: it is told, and looked at again.
 */
export async function startSpmAgent(context: RoleContext): Promise<Role> {
  const libvirt = createLibvirt(context.config.libvirtUri);
  const watchdog = startWatchdog(context);
  const served = new Map<string, Role>();
  const look = async () => {
    const pools = (await observePools(libvirt).catch(() => null))?.filter(isOursIn(context));
    if (!pools) return;
    for (const [place, role] of served) {
      if (!pools.some((pool) => placeOf(pool) === place)) void role.stop();
    }
    for (const pool of pools) {
      const place = placeOf(pool);
      if (served.has(place)) continue;
      const role = servePool(context, libvirt, pool);
      served.set(place, role);
      void role.done.then(() => served.delete(place));
    }
  };
  await assertOwnPools(libvirt, context.config.stateDir);
  await look();
  const { promise: done, resolve: end, reject: fail } = Promise.withResolvers<void>();
  const timer = setInterval(() => void look().catch(fail), POOLS_EVERY_MS);
  return {
    name: 'spm',
    done,
    async stop() {
      clearInterval(timer);
      await forAWhile([...served.values()].map((role) => role.stop()));
      watchdog.stop();
      libvirt.close();
      end();
    },
  };
}

const isOursIn =
  ({ config }: RoleContext) =>
  (pool: Pool): pool is ServedPool =>
    pool.folder !== null &&
    (config.pools?.includes(pool.name) ?? filePoolTypes.includes(pool.type));
type ServedPool = Pool & { folder: string };

/** A pool that is redefined in another folder is another one, with a lease of its own. */
const placeOf = ({ name, folder }: ServedPool) => `${name} at ${folder}`;

/**
 * Takes the pool's lease and serves its queue, until it is stopped, the lease is lost, or something
 * fails: `done` never rejects.
 */
function servePool(context: RoleContext, libvirt: Libvirt, pool: ServedPool): Role {
  const { stateDir, host } = context.config;
  const stop = new AbortController();
  const holder = identityOf(context, 'spm');
  const serve = async () => {
    await assertOwnPool(libvirt, stateDir, pool.folder);
    await assertOwnName(pool.folder, { host, machine: await machineId(context.config) });
    const before = await observeFlockLease(pool.folder);
    const wanted = { pool: pool.name, folder: pool.folder, holder };
    const lease = await acquireFlockLease(wanted, stop.signal);
    if (!lease) return;
    const { version } = lease.record;
    context.log.info({ pool: pool.name, version }, 'SPM of the pool');
    const tenure = tenureOf(lease);
    // Without waiting for it: an effect may last for hours, and the lease as long.
    const leave = () => void tenure.end().then(() => lease.release().catch(() => undefined));
    const sharer = before?.isHeld ? before.holder : null;
    const held = { folder: pool.folder, lease, tenure, sharer };
    await serveLeased(context, libvirt, held, stop.signal).finally(leave);
  };
  const done = serve().catch(({ message: reason }: Error) => {
    const words = 'the pool is not served any more; it is tried again within 5 s';
    context.log.warn({ pool: pool.name, folder: pool.folder, reason }, words);
  });
  return {
    name: `spm of ${pool.name}`,
    done,
    async stop() {
      stop.abort();
      await done;
    },
  };
}

interface Held {
  folder: string;
  lease: Lease;
  tenure: Tenure;
  /** Who had it when it was asked for. */
  sharer: string | null;
}

/** Until the agent is stopped or the lease lost; not at all where another one serves the queue. */
async function serveLeased(
  context: RoleContext,
  libvirt: Libvirt,
  { folder, lease, tenure, sharer }: Held,
  stop: AbortSignal,
): Promise<void> {
  const identity = await observePoolId(folder);
  // It was there before the lease was.
  if (identity === null) throw new Error(`${folder} has no .blockflow/id any more`);
  const queue = spmQueue({ pool: lease.pool, identity });
  const announced = await announceSpm(context, lease, queue, { before: sharer, stop });
  try {
    const { other } = announced;
    if (other !== null) await rememberOtherSpm(context.config.stateDir, folder, other);
    else await serveQueue(context, libvirt, { lease, tenure, queue }, stop);
  } finally {
    announced.stop();
  }
}

async function serveQueue(
  context: RoleContext,
  libvirt: Libvirt,
  { lease, tenure, queue }: { lease: Lease; tenure: Tenure; queue: string },
  stop: AbortSignal,
): Promise<void> {
  const activities = createStorageActivities({
    libvirt,
    effect: door(context, tenure.hook),
    tenure,
  });
  const worker = await Worker.create({
    ...agentOptions(context, 'spm', activities),
    taskQueue: queue,
    maxConcurrentActivityTaskExecutions: 10,
  });
  const role = run(`spm of ${lease.pool}`, [worker]);
  const end = () => void role.stop().catch(() => undefined);
  stop.addEventListener('abort', end, { once: true });
  lease.lost.addEventListener('abort', end, { once: true });
  if (stop.aborted || lease.lost.aborted) end();
  await role.done;
  stop.removeEventListener('abort', end);
  if (lease.lost.aborted) {
    context.log.error({ pool: lease.pool, reason: lease.lost.reason }, 'LeaseLost');
  }
}

const watchdogScript = fileURLToPath(
  new URL('../../activities/pool-folder/lease-watchdog.bash', import.meta.url),
);

/** An agent that stands still longer than its leases allow is ended by this child. */
function startWatchdog({ config }: RoleContext): { stop(): void } {
  const args = [watchdogScript, String(process.pid), String(config.leaseSeconds)];
  // In a group of its own: what stops or ends ours, such as a terminal, must not blind it.
  const child = spawn('bash', args, {
    env: childEnvironment(),
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true,
  });
  // When it dies, the kernel still ends the leases with us.
  child.on('error', () => undefined);
  child.stdin.on('error', () => undefined);
  const timer = setInterval(() => child.stdin.write('\n'), 1000);
  return {
    stop() {
      clearInterval(timer);
      child.stdin.end();
    },
  };
}
