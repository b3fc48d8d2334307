/**
 * `blockflow up`: the three roles in one process, with an embedded Temporal server; the form for a
 * single host.
 */
import type { Logger } from 'pino';
import type { WorkerConfig } from '../environment/config.ts';
import { stopSignal } from '../roles/stop-signal.ts';
import type { Role } from '../roles/role.ts';
import { assertRights } from '../roles/rights.ts';
import { startRole, roleNames } from '../roles/start.ts';
import { keepOwnFiles } from '../own-files.ts';
import { tellReady } from '../service/notify.ts';
import { keepRole } from './keep-role.ts';
import { connectWorker, createLog, installRuntime } from '../runtime.ts';
import { keepTemporalServer, type KeptServer } from './server-keeper.ts';
import { lockState } from './state-lock.ts';
import { temporalConfig, upConfig, type TemporalConfig } from '../environment/temporal-config.ts';
import { readUpFile } from '../environment/up-file.ts';
import { removeUpFile, writeUpFile } from './keep-up-file.ts';

export interface UpOptions {
  config: WorkerConfig;
  port?: number | undefined;
  uiPort?: number | undefined;
  /** Logs what it does also to a person at a terminal, who else is told of what goes wrong. */
  showLog?: boolean | undefined;
  /** Told once, when everything is ready. `uiUrl` is null for a server that is not ours. */
  ready: (facts: { address: string; uiUrl: string | null; host: string }) => void;
}

/** The state folder has its `up` already. */
export class AlreadyUp extends Error {
  override readonly name = 'AlreadyUp';
  readonly stateDir: string;
  readonly pid: number | null;

  constructor(stateDir: string) {
    const pid = readUpFile(stateDir)?.pid ?? null;
    super(`blockflow up runs already for ${stateDir}${pid === null ? '' : ` (pid ${pid})`}`);
    this.stateDir = stateDir;
    this.pid = pid;
  }
}

/**
 * Runs until SIGTERM or SIGINT; a second one ends it at once. SIGKILL loses nothing.
 * @throws LacksRights, before anything is begun; AlreadyUp; the error of a role or of the server's
 * start, after a clean stop of the rest
 */
export async function runUp(options: UpOptions): Promise<void> {
  const { config } = options;
  assertRights(config.libvirtUri);
  const stop = stopSignal();
  await keepOwnFiles(config);
  const lock = await lockState(config.stateDir);
  if (!lock) throw new AlreadyUp(config.stateDir);
  const isQuiet = process.stderr.isTTY && !options.showLog;
  const log = createLog('up', isQuiet ? 'warn' : 'info');
  installRuntime(log, config.metricsAddress);
  const environment = temporalConfig(config.stateDir);
  const own = environment.source !== 'environment';
  let server: KeptServer | null = null;
  try {
    if (own) server = await keepTemporalServer({ ...options, stateDir: config.stateDir, log });
    const temporal = server ? upConfig(config.stateDir, environment.namespace) : environment;
    await runRoles({ ...options, log }, server, temporal, stop);
  } finally {
    removeUpFile(config.stateDir);
    await server?.stop();
    await lock.release();
    log.info('stopped');
  }
}

async function runRoles(
  { config, ready, log }: UpOptions & { log: Logger },
  server: KeptServer | null,
  temporal: TemporalConfig,
  stop: AbortSignal,
): Promise<void> {
  const { host, libvirtUri, stateDir } = config;
  // Clients of this machine find the server from now on, also while the roles still start.
  await writeUpFile(stateDir, {
    host,
    libvirtUri,
    temporal: server && { address: server.address, uiUrl: server.uiUrl },
  });
  // A server that is not ours may stay unavailable for long; a user who waits for it can still be
  // stopped.
  const connecting = connectWorker(log, () => temporal);
  const connected = await Promise.race([connecting, aborted(stop)]);
  if (!connected) return;
  const { connection, namespace } = connected;
  const context = { config, connection, namespace, log };
  const roles: Role[] = [];
  let stopTelling = () => Promise.resolve();
  try {
    for (const name of roleNames) {
      if (!stop.aborted) roles.push(await keepRole(() => startRole(name, context), log));
    }
    const uiUrl = server?.uiUrl ?? null;
    if (!stop.aborted) ready({ address: temporal.connectionOptions.address, uiUrl, host });
    stopTelling = await tellReady();
    await Promise.race([aborted(stop), ...roles.map((role) => role.done)]);
  } finally {
    log.info('stopping');
    await stopTelling();
    await Promise.allSettled(roles.map((role) => role.stop()));
    await connection.close();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
