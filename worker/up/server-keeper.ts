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
  const port = await choosePort('--port', options.port, 7233, portOf(last?.address));
  const uiPort = await choosePort('--ui-port', options.uiPort, 8233, portOf(last?.uiUrl));
  await ensureCertificates(stateDir);
  const start = async () => {
    await endOrphans(databaseIn(stateDir), log);
    return startGuardedServer({ stateDir, port, uiPort });
  };
  let server: TemporalServer = await start();
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

async function choosePort(
  option: string,
  wanted: number | undefined,
  usual: number,
  last: number | undefined,
): Promise<number> {
  if (wanted !== undefined) {
    if (await isFree(wanted)) return wanted;
    throw new Error(`port ${wanted} is in use; give another one with ${option}, or none`);
  }
  for (const port of [usual, last]) if (port !== undefined && (await isFree(port))) return port;
  return freePort();
}

/**
 * Ends servers on our database. The caller holds the lock of the folder, so no `up` owns them;
 * they are known by their command line, because an `up` killed early has recorded nothing.
 */
async function endOrphans(database: string, log: Logger): Promise<void> {
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
  }
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
