/** Keeps the embedded Temporal server alive for `blockflow up`, always at the same address. */
import { readFile, readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Logger } from 'pino';
import { freePort, isFree } from './free-port.ts';
import { ensureCertificates } from './certificates.ts';
import { startGuardedServer } from './guarded-server.ts';
import { writeProfile } from './keep-up-file.ts';
import { databaseIn, type TemporalServer } from './temporal-server.ts';
import { readLastUpFile, startTicksOf } from '../environment/up-file.ts';

export interface KeptServer {
  address: string;
  uiUrl: string;
  stop(): Promise<void>;
}

export interface KeeperOptions {
  stateDir: string;
  /** Wanted ports; without them 7233 and 8233, the last used ones, or free ones. */
  port?: number | undefined;
  uiPort?: number | undefined;
  log: Logger;
}

/**
 * Starts the server, after ending one that a killed `up` left behind, and restarts it when it dies.
 */
export async function keepTemporalServer(options: KeeperOptions): Promise<KeptServer> {
  const { log } = options;
  // Temporal tells its own folder by an absolute path, which is how an orphan is known.
  const stateDir = resolve(options.stateDir);
  const last = readLastUpFile(stateDir)?.temporal;
  // What is left of an `up` before us may still have our ports.
  const hasEnded = await endOrphans(databaseIn(stateDir), log);
  const patienceMs = hasEnded || last ? PATIENCE_MS : 0;
  const ports = { wanted: options.port, usual: 7233, last: portOf(last?.address) };
  const uiPorts = { wanted: options.uiPort, usual: 8233, last: portOf(last?.uiUrl) };
  const choose = async () => ({
    port: await choosePort('--port', ports, patienceMs),
    uiPort: await choosePort('--ui-port', uiPorts, patienceMs),
  });
  let chosen = await choose();
  await ensureCertificates(stateDir);
  const start = async () => {
    await endOrphans(databaseIn(stateDir), log);
    return startGuardedServer({ stateDir, ...chosen });
  };
  let server: TemporalServer = await start().catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
    // Another `up` has taken one since they were free.
    chosen = await choose();
    return start();
  });
  await writeProfile(stateDir, server.address);
  let stopping = false;
  const keep = async () => {
    while (!stopping) {
      await server.ended;
      if (stopping) return;
      log.warn({ address: server.address }, 'the Temporal server ended; it is started again');
      server = await persist(start, log, () => stopping).catch(() => server);
    }
  };
  const kept = keep();
  const endWithUs = () => void server.stop();
  process.once('exit', endWithUs);
  return {
    address: server.address,
    uiUrl: server.uiUrl,
    async stop() {
      stopping = true;
      process.removeListener('exit', endWithUs);
      await server.stop();
      await kept;
      await server.stop();
    },
  };
}

/** Repeats a start until it works or is no longer wanted. */
async function persist<T>(start: () => Promise<T>, log: Logger, over: () => boolean): Promise<T> {
  for (;;) {
    try {
      return await start();
    } catch (error) {
      if (over()) throw error;
      log.error({ error: String(error) }, 'the Temporal server does not start; trying again');
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
}

const portOf = (address: string | undefined) => Number(address?.split(':').at(-1)) || undefined;

/** How long the server of an `up` before us may take to free its ports. */
const PATIENCE_MS = 5000;

interface Ports {
  wanted: number | undefined;
  usual: number;
  last: number | undefined;
}

async function choosePort(
  option: string,
  { wanted, usual, last }: Ports,
  patienceMs: number,
): Promise<number> {
  const meant = wanted === undefined ? [usual, last] : [wanted];
  for (let waited = 0; ; waited += 100) {
    for (const port of meant) if (port !== undefined && (await isFree(port))) return port;
    if (waited >= patienceMs) break;
    await new Promise((done) => setTimeout(done, 100));
  }
  if (wanted === undefined) return freePort();
  throw new Error(`port ${wanted} is in use; give another one with ${option}, or none`);
}

/**
 * Ends servers on our database. The caller holds the lock of the folder, so no `up` owns them;
 * they are known by their command line, because an `up` killed early has recorded nothing.
 * @returns whether there was one
 */
async function endOrphans(database: string, log: Logger): Promise<boolean> {
  let hasEnded = false;
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const cmdline = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    const args = cmdline.split('\0');
    const ours = args[1] === 'server' && args[args.indexOf('--db-filename') + 1] === database;
    if (!ours) continue;
    const pid = Number(name);
    log.warn(
      { server: pid },
      'ending the Temporal server that an earlier `blockflow up` left behind',
    );
    await endProcess(pid);
    hasEnded = true;
  }
  return hasEnded;
}

async function endProcess(pid: number): Promise<void> {
  const born = startTicksOf(pid);
  const alive = () => born !== null && startTicksOf(pid) === born;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (alive()) process.kill(pid, signal);
    for (let waited = 0; alive() && waited < 5000; waited += 50) {
      await new Promise((done) => setTimeout(done, 50));
    }
  }
}
