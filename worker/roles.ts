/** The three roles of blockflow as Temporal workers. */
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { log as activityLog } from '@temporalio/activity';
import type { Logger } from 'pino';
import { join } from 'node:path';
import { createJobWatch } from '../activities/adapters/job-watch.ts';
import { filePoolTypes, observePools } from '../activities/adapters/pools.ts';
import { createPivots } from '../activities/adapters/safe-pivot.ts';
import { createLibvirt } from '../activities/adapters/virsh.ts';
import { createEffect, type EffectHook } from '../activities/effect.ts';
import { createHostActivities } from '../activities/host/index.ts';
import { createOrchestratorActivities } from '../activities/orchestrator/index.ts';
import { createStorageActivities } from '../activities/storage/index.ts';
import { hostQueue, ORCHESTRATOR_QUEUE, spmQueue } from '../workflows/contract.ts';
import { workflowSource } from './bundle.ts';
import type { WorkerConfig } from './config.ts';

export interface RoleContext {
  config: WorkerConfig;
  connection: NativeConnection;
  namespace: string;
  log: Logger;
  /** Observers of the effects door besides the log; tests inject their faults here. */
  hooks?: readonly EffectHook[];
}

/** A running role. `stop` lets running activities end or hand over, then resolves. */
export interface Role {
  name: string;
  stop(): Promise<void>;
  /** Resolves when the role ended, rejects when it failed. */
  done: Promise<void>;
}

export const roleNames = ['orchestrator', 'host', 'spm'] as const;
export type RoleName = (typeof roleNames)[number];

export function startRole(name: RoleName, context: RoleContext): Promise<Role> {
  return { orchestrator: startOrchestrator, host: startHostAgent, spm: startSpmAgent }[name](
    context,
  );
}

const logged: EffectHook = async (name, target, run) => {
  activityLog.info('effect begins', { effect: name, target });
  const result = await run();
  activityLog.info('effect is done', { effect: name, target });
  return result;
};
const door = (context: RoleContext) => createEffect([logged, ...(context.hooks ?? [])]);

/** Options that all workers share. The identity is what every event of the history shows. */
function common(context: RoleContext, role: string): Omit<WorkerOptions, 'taskQueue'> {
  return {
    connection: context.connection,
    namespace: context.namespace,
    identity: `${role}@${context.config.host}:${process.pid}`,
    // Progress and cancellation travel with heartbeats that are really sent.
    maxHeartbeatThrottleInterval: '1 second',
    defaultHeartbeatThrottleInterval: '1 second',
    shutdownGraceTime: '500 milliseconds',
    shutdownForceTime: '10 seconds',
  };
}

async function startOrchestrator(context: RoleContext): Promise<Role> {
  const folder = join(context.config.stateDir, 'events');
  const worker = await Worker.create({
    ...common(context, 'orchestrator'),
    taskQueue: ORCHESTRATOR_QUEUE,
    ...(await workflowSource(context.config.stateDir)),
    activities: createOrchestratorActivities({ effect: door(context), folder }),
    // After a SIGKILL this is how long a workflow waits for the dead worker's cache; the default is
    // 10 s.
    stickyQueueScheduleToStartTimeout: '2 seconds',
  });
  return run('orchestrator', [worker]);
}

async function startHostAgent(context: RoleContext): Promise<Role> {
  const { host, libvirtUri, runtimeDir } = context.config;
  const libvirt = createLibvirt(libvirtUri);
  const watch = createJobWatch(libvirt);
  const pivots = createPivots(libvirtUri);
  const deps = { host, libvirt, watch, pivots, effect: door(context), runtimeDir };
  const worker = await Worker.create({
    ...common(context, 'host'),
    taskQueue: hostQueue(host),
    activities: createHostActivities(deps),
    // Waiting operations hold a slot each; the work itself is QEMU's.
    maxConcurrentActivityTaskExecutions: 500,
  });
  return run('host', [worker], () => {
    watch.close();
    pivots.close();
    libvirt.close();
  });
}

const POOLS_EVERY_MS = 5000;

/** One worker a pool; pools that appear later are served too. */
async function startSpmAgent(context: RoleContext): Promise<Role> {
  const libvirt = createLibvirt(context.config.libvirtUri);
  const activities = createStorageActivities({ libvirt, effect: door(context) });
  const served = new Map<string, Role>();
  let failed: (reason: unknown) => void = () => undefined;
  const failure = new Promise<void>((_, reject) => (failed = reject));
  const serve = async () => {
    const pools = await observePools(libvirt).catch(() => []);
    for (const { name, type } of pools) {
      const wanted = context.config.pools?.includes(name) ?? filePoolTypes.includes(type);
      if (!wanted || served.has(name)) continue;
      const worker = await Worker.create({
        ...common(context, 'spm'),
        taskQueue: spmQueue(name),
        activities,
        maxConcurrentActivityTaskExecutions: 10,
      });
      const role = run(`spm of ${name}`, [worker]);
      role.done.catch(failed);
      served.set(name, role);
    }
  };
  await serve();
  const timer = setInterval(() => void serve().catch(failed), POOLS_EVERY_MS);
  let ended: () => void = () => undefined;
  const end = new Promise<void>((resolve) => (ended = resolve));
  return {
    name: 'spm',
    done: Promise.race([failure, end]),
    async stop() {
      clearInterval(timer);
      await Promise.all([...served.values()].map((role) => role.stop()));
      libvirt.close();
      ended();
    },
  };
}

function run(name: string, workers: Worker[], cleanUp: () => void = () => undefined): Role {
  const done = Promise.all(workers.map((worker) => worker.run()))
    .then(() => undefined)
    .finally(cleanUp);
  return {
    name,
    done,
    async stop() {
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      await done;
    },
  };
}
