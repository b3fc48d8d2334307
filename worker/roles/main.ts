/** Entry point of one role as its own process: `blockflow worker ROLE` ends here. */
import { connectWorker, createLog, installRuntime } from '../runtime.ts';
import { keepOwnFiles } from '../own-files.ts';
import { assertRights } from './rights.ts';
import type { Role, RoleContext } from './role.ts';
import { startRole, type RoleName } from './start.ts';
import { tellReady } from '../service/notify.ts';
import { stopSignal } from './stop-signal.ts';
import type { WorkerConfig } from '../environment/config.ts';
import { temporalConfig } from '../environment/temporal-config.ts';

/**
 * Runs one role until SIGTERM or SIGINT. SIGKILL loses nothing: everything is observed again.
 * @throws LacksRights, before anything is begun; MetricsRefused; of the role
 */
export async function runRole(
  name: RoleName,
  config: WorkerConfig,
  hooks: RoleContext['hooks'] = [],
): Promise<void> {
  if (name !== 'orchestrator') assertRights(config.libvirtUri);
  await keepOwnFiles(config);
  const log = createLog(name);
  installRuntime(log, config.metricsAddress);
  const { connection, namespace } = await connectWorker(log, () => temporalConfig(config.stateDir));
  const role = await startRole(name, { config, connection, namespace, log, hooks });
  log.info({ host: config.host, libvirt: config.libvirtUri }, `${name} is ready`);
  stopOnSignal([role], log);
  const stopTelling = await tellReady();
  await role.done.finally(stopTelling);
  await connection.close();
  log.info(`${name} has stopped`);
}

/** SIGTERM and SIGINT stop the roles cleanly; a second one ends the process at once. */
export function stopOnSignal(roles: Role[], log: { info(message: string): void }): void {
  const stop = stopSignal();
  stop.addEventListener('abort', () => {
    log.info(`${String(stop.reason)}: stopping`);
    for (const role of roles) void role.stop();
  });
}
