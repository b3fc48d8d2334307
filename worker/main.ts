/** Entry point of one role as its own process: `blockflow worker ROLE` ends here. */
import { connectWorker, createLog, installRuntime } from './runtime.ts';
import { startRole, type Role, type RoleContext, type RoleName } from './roles.ts';
import type { WorkerConfig } from './config.ts';
import { temporalConfig } from './temporal-config.ts';

/** Runs one role until SIGTERM or SIGINT. SIGKILL loses nothing: everything is observed again. */
export async function runRole(
  name: RoleName,
  config: WorkerConfig,
  hooks: RoleContext['hooks'] = [],
): Promise<void> {
  const log = createLog(name);
  installRuntime(log, config.metricsAddress);
  const { connection, namespace } = await connectWorker(log, () =>
    temporalConfig(config.stateDir),
  );
  const role = await startRole(name, { config, connection, namespace, log, hooks });
  log.info({ host: config.host, libvirt: config.libvirtUri }, `${name} is ready`);
  stopOnSignal([role], log);
  await role.done;
  await connection.close();
  log.info(`${name} has stopped`);
}

/** SIGTERM and SIGINT stop the roles cleanly, once. */
export function stopOnSignal(roles: Role[], log: { info(message: string): void }): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info(`${signal}: stopping`);
      for (const role of roles) void role.stop();
    });
  }
}
