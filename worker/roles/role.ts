/** What the three roles of blockflow have in common: a Temporal worker with a door for effects. */
import type {
  ActivityInterceptorsFactory,
  NativeConnection,
  Worker,
  WorkerOptions,
} from '@temporalio/worker';
import { log as activityLog } from '@temporalio/activity';
import type { Logger } from 'pino';
import { createEffect, type EffectHook } from '../../activities/door/effect.ts';
import { unknownStep } from '../../activities/door/newer-orchestrator.ts';
import type { WorkerConfig } from '../environment/config.ts';
import { payloadEncryption } from '../environment/payload-codec.ts';
import { watchRetries } from './retries.ts';

export interface RoleContext {
  config: WorkerConfig;
  connection: NativeConnection;
  namespace: string;
  log: Logger;
  /** Observers of the effects door besides the log; tests inject their faults here. */
  hooks?: readonly EffectHook[];
  /** Notes the attempts of an agent (`own-attempts.ts`). */
  attempts?: ActivityInterceptorsFactory;
}

/** A running role. `stop` lets running activities end or hand over, then resolves. */
export interface Role {
  name: string;
  stop(): Promise<void>;
  /** Resolves when the role ended, rejects when it failed. */
  done: Promise<void>;
}

const logged: EffectHook = async (name, target, run) => {
  activityLog.info('effect begins', { effect: name, target });
  const result = await run();
  activityLog.info('effect is done', { effect: name, target });
  return result;
};

/** The door of a role. `last` is the hook that stands right before every effect. */
export const door = (context: RoleContext, ...last: EffectHook[]) =>
  createEffect([logged, ...(context.hooks ?? []), ...last]);

/** What every event of the history, and a lease, says of a worker. */
export const identityOf = ({ config }: RoleContext, role: string) =>
  `${role}@${config.host}:${process.pid}`;

/** Options that all workers share. */
export function common(context: RoleContext, role: string): Omit<WorkerOptions, 'taskQueue'> {
  return {
    connection: context.connection,
    namespace: context.namespace,
    ...payloadEncryption(),
    identity: identityOf(context, role),
    // Progress and cancellation travel with heartbeats that are really sent.
    maxHeartbeatThrottleInterval: '1 second',
    defaultHeartbeatThrottleInterval: '1 second',
    shutdownGraceTime: '500 milliseconds',
    shutdownForceTime: '10 seconds',
    interceptors: {
      activity: [
        ...(context.attempts ? [context.attempts] : []),
        watchRetries(context.config.stuckSeconds * 1000),
      ],
    },
  };
}

/** Options of an agent's worker. */
export const agentOptions = (
  context: RoleContext,
  role: string,
  activities: object,
): Omit<WorkerOptions, 'taskQueue'> & { activities: object } => ({
  ...common(context, role),
  activities: { ...activities, ...unknownStep },
});

/** Runs workers as one role. One that fails ends the others, before the role is over. */
export function run(name: string, workers: Worker[], cleanUp: () => void = () => undefined): Role {
  const shutDown = () => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  const runs = workers.map((worker) => worker.run().finally(shutDown));
  const done = Promise.allSettled(runs)
    .then(() => Promise.all(runs))
    .then(() => undefined)
    .finally(cleanUp);
  return {
    name,
    done,
    async stop() {
      shutDown();
      await done;
    },
  };
}
