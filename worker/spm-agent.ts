/** The SPM agent: for every pool, a lease, and while it has that, a worker of the pool's queue. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from '@temporalio/worker';
import { acquireFlockLease } from '../activities/adapters/flock-lease.ts';
import { filePoolTypes, observePools, type Pool } from '../activities/adapters/pools.ts';
import { createLibvirt, type Libvirt } from '../activities/adapters/virsh.ts';
import { createStorageActivities } from '../activities/storage/index.ts';
import { leased, type Lease } from '../activities/storage/pool-lease.ts';
import { spmQueue } from '../workflows/contract.ts';
import { common, door, identityOf, run, type Role, type RoleContext } from './role.ts';

const POOLS_EVERY_MS = 5000;

/** Serves the pools of its libvirt, also those that appear later; a pool that is gone no longer. */
export async function startSpmAgent(context: RoleContext): Promise<Role> {
  const libvirt = createLibvirt(context.config.libvirtUri);
  const watchdog = startWatchdog(context);
  const served = new Map<string, Role>();
  const { promise: failure, reject: fail } = Promise.withResolvers<never>();
  failure.catch(() => undefined);
  const look = async () => {
    const pools = await observePools(libvirt).catch(() => null);
    if (!pools) return;
    for (const pool of pools) {
      if (!isOurs(context, pool) || served.has(pool.name)) continue;
      const role = servePool(context, libvirt, pool);
      role.done.catch(fail);
      served.set(pool.name, role);
    }
    for (const [name, role] of served) {
      if (pools.some((pool) => pool.name === name)) continue;
      served.delete(name);
      await role.stop();
    }
  };
  await look();
  const timer = setInterval(() => void look().catch(fail), POOLS_EVERY_MS);
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  return {
    name: 'spm',
    done: Promise.race([failure, ended]),
    async stop() {
      clearInterval(timer);
      await Promise.all([...served.values()].map((role) => role.stop()));
      watchdog.stop();
      libvirt.close();
      end();
    },
  };
}

const isOurs = ({ config }: RoleContext, { name, type, folder }: Pool) =>
  folder !== null && (config.pools?.includes(name) ?? filePoolTypes.includes(type));

/** Takes the pool's lease and serves its queue, again and again, until it is stopped. */
function servePool(context: RoleContext, libvirt: Libvirt, pool: Pool): Role {
  const stop = new AbortController();
  const serve = async () => {
    while (!stop.signal.aborted) {
      const lease = await acquire(context, pool, stop.signal);
      if (!lease) continue;
      const { version } = lease.record;
      context.log.info({ pool: pool.name, version }, 'SPM of the pool');
      await serveLeased(context, libvirt, lease, stop.signal).finally(() => lease.release());
    }
  };
  const done = serve();
  return {
    name: `spm of ${pool.name}`,
    done,
    async stop() {
      stop.abort();
      await done;
    },
  };
}

/** @returns null when it was stopped, or when it has to be tried again */
async function acquire(
  context: RoleContext,
  { name, folder }: Pool,
  stop: AbortSignal,
): Promise<Lease | null> {
  const wanted = { pool: name, folder: folder ?? '', holder: identityOf(context, 'spm') };
  try {
    return await acquireFlockLease(wanted, stop);
  } catch (error) {
    const { message: reason } = error as Error;
    context.log.warn({ pool: name, reason }, 'no lease of the pool; trying again');
    await sleep(POOLS_EVERY_MS, undefined, { signal: stop }).catch(() => undefined);
    return null;
  }
}

/** Until the agent is stopped or the lease lost. */
async function serveLeased(
  context: RoleContext,
  libvirt: Libvirt,
  lease: Lease,
  stop: AbortSignal,
): Promise<void> {
  const effect = door(context, leased(lease));
  const worker = await Worker.create({
    ...common(context, 'spm'),
    taskQueue: spmQueue(lease.pool),
    activities: createStorageActivities({ libvirt, effect, lease }),
    maxConcurrentActivityTaskExecutions: 10,
  });
  const role = run(`spm of ${lease.pool}`, [worker]);
  const end = () => void role.stop().catch(() => undefined);
  stop.addEventListener('abort', end, { once: true });
  lease.lost.addEventListener('abort', end, { once: true });
  if (stop.aborted) end();
  await role.done;
  stop.removeEventListener('abort', end);
  if (lease.lost.aborted) {
    context.log.error({ pool: lease.pool, reason: lease.lost.reason }, 'LeaseLost');
  }
}

const watchdogScript = fileURLToPath(
  new URL('../activities/adapters/lease-watchdog.bash', import.meta.url),
);

/** An agent that stands still longer than its leases allow is ended by this child. */
function startWatchdog({ config }: RoleContext): { stop(): void } {
  const args = [watchdogScript, String(process.pid), String(config.leaseSeconds)];
  // In a group of its own: what stops or ends ours, such as a terminal, must not blind it.
  const child = spawn('bash', args, { stdio: ['pipe', 'ignore', 'inherit'], detached: true });
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
