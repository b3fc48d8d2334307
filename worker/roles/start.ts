/** The three roles of blockflow as Temporal workers. */
import { mkdir } from 'node:fs/promises';
import { Worker } from '@temporalio/worker';
import { join } from 'node:path';
import { createJobWatch } from '../../activities/adapters/virsh/job-watch.ts';
import { createPivots } from '../../activities/adapters/virsh/safe-pivot.ts';
import { createLibvirt } from '../../activities/adapters/virsh/domains.ts';
import { createHostActivities } from '../../activities/host/index.ts';
import { createHostTurns } from '../../activities/host/pools/host-turns.ts';
import { createOrchestratorActivities } from '../../activities/orchestrator/index.ts';
import { hostQueue, ORCHESTRATOR_QUEUE } from '../../workflows/operation/contract.ts';
import { workflowSource } from '../bundle.ts';
import { machineId } from '../machine-id.ts';
import { registerInPools } from './host-registration.ts';
import { keepAttempts } from './own-attempts.ts';
import { agentOptions, common, door, run, type Role, type RoleContext } from './role.ts';
import { startSpmAgent } from './spm-agent.ts';

export const roleNames = ['orchestrator', 'host', 'spm'] as const;
export type RoleName = (typeof roleNames)[number];

/** @throws OtherMachine */
export async function startRole(name: RoleName, context: RoleContext): Promise<Role> {
  if (name === 'orchestrator') return startOrchestrator(context);
  const agent = { ...context, attempts: await keepAttempts(context, name) };
  return { host: startHostAgent, spm: startSpmAgent }[name](agent);
}

async function startOrchestrator(context: RoleContext): Promise<Role> {
  const folder = join(context.config.stateDir, 'events');
  // What has no events yet is told from what is not here. A disk that is full stops no start.
  await mkdir(folder, { recursive: true }).catch((error: Error) =>
    context.log.warn(`the audit log cannot be made: ${error.message}`),
  );
  const worker = await Worker.create({
    ...common(context, 'orchestrator'),
    taskQueue: ORCHESTRATOR_QUEUE,
    ...(await workflowSource(context.config.cacheDir)),
    activities: createOrchestratorActivities({
      effect: door(context),
      folder,
      warn: (words) => context.log.warn(words),
    }),
    // After a SIGKILL this is how long a workflow waits for the dead worker's cache; the default is
    // 10 s.
    stickyQueueScheduleToStartTimeout: '2 seconds',
  });
  return run('orchestrator', [worker]);
}

/** Another one after the namespace, or its server's database, was made again. */
async function namespaceId({ connection, namespace, log }: RoleContext): Promise<string> {
  try {
    const { namespaceInfo } = await connection.workflowService.describeNamespace({ namespace });
    return namespaceInfo?.id ?? '';
  } catch (error) {
    const reason = (error as Error).message;
    log.warn({ reason }, 'hosts of other installations that share a pool cannot be told apart');
    return '';
  }
}

async function startHostAgent(context: RoleContext): Promise<Role> {
  const { host, libvirtUri, runtimeDir, stateDir } = context.config;
  const libvirt = createLibvirt(libvirtUri);
  const watch = createJobWatch(libvirt);
  const pivots = createPivots(libvirtUri);
  const ids = {
    machine: await machineId(context.config),
    installation: await namespaceId(context),
  };
  const own = { host, ...ids, runtimeDir, stateDir };
  const turns = createHostTurns(own);
  const deps = { ...own, libvirt, watch, pivots, turns, effect: door(context) };
  const registration = await registerInPools(context, libvirt, ids);
  const worker = await Worker.create({
    ...agentOptions(context, 'host', createHostActivities(deps)),
    taskQueue: hostQueue(host),
    // Waiting operations hold a slot each; the work itself is QEMU's.
    maxConcurrentActivityTaskExecutions: 500,
  });
  return run('host', [worker], () => {
    registration.stop();
    watch.close();
    pivots.close();
    libvirt.close();
  });
}
