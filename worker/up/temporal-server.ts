/**
 * The embedded Temporal server: the dev server with its throttle removed and its database durable
 * (docs/lab/temporal.md).
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { Connection } from '@temporalio/client';
import { childEnvironment } from '../../activities/adapters/process/environment.ts';
import { searchAttributes } from '../../workflows/operation/contract.ts';
import { freePort } from './free-port.ts';
import { findTemporalBinary } from './temporal-binary.ts';

export interface TemporalServer {
  address: string;
  uiUrl: string;
  pid: number;
  /** Resolves when the server process ends, for any reason. */
  ended: Promise<void>;
  stop(): Promise<void>;
}

export interface ServerOptions {
  stateDir: string;
  /** 0 picks a free port. */
  port?: number;
  uiPort?: number;
  /** More dynamic configuration, as `KEY=JSON VALUE`. */
  settings?: readonly string[];
}

export const databaseIn = (stateDir: string) => join(stateDir, 'temporal.db');

/** Starts the server on a database in `stateDir` and waits until it answers. */
export async function startTemporalServer(options: ServerOptions): Promise<TemporalServer> {
  const binary = await findTemporalBinary();
  if (!binary) throw new Error('no Temporal server binary found: run `node setup.mjs`');
  await mkdir(options.stateDir, { recursive: true });
  const port = options.port || (await freePort());
  const uiPort = options.uiPort || (await freePort());
  const database = databaseIn(options.stateDir);
  const args = serverArguments(database, port, uiPort, options.settings ?? []);
  const child = execa(binary, args, {
    env: childEnvironment(),
    extendEnv: false,
    stdin: 'ignore',
    all: true,
    buffer: false,
    reject: false,
    cleanup: true,
  });
  let lastWords = '';
  child.all.setEncoding('utf8').on('data', (words: string) => {
    lastWords = `${lastWords}${words}`.slice(-500);
  });
  // Not `child.then`: comparing the whole of execa's type takes tsc seconds.
  const end = (async () => (await child).shortMessage)();
  const ended = end.then(() => undefined);
  const address = `127.0.0.1:${port}`;
  await Promise.race([untilAnswers(address), end.then((how) => notStarted(how, lastWords))]);
  return serverOf(child, { port, uiPort, ended });
}

interface Running {
  port: number;
  uiPort: number;
  ended: Promise<void>;
}

/** The server of a process that ends with it. */
export const serverOf = (
  child: { pid?: number | undefined; kill(signal: 'SIGTERM'): boolean },
  { port, uiPort, ended }: Running,
): TemporalServer => ({
  address: `127.0.0.1:${port}`,
  uiUrl: `http://127.0.0.1:${uiPort}`,
  pid: child.pid ?? 0,
  ended,
  async stop() {
    child.kill('SIGTERM');
    await ended;
  },
});

function serverArguments(
  database: string,
  port: number,
  uiPort: number,
  settings: readonly string[],
): string[] {
  const option = (name: string, values: readonly string[]) =>
    values.flatMap((value) => [`--${name}`, value]);
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--log-level', 'error'],
    ...['--port', String(port), '--ui-port', String(uiPort), '--db-filename', database],
    ...option('dynamic-config-value', [
      'history.transferProcessorMaxPollRPS=2000',
      'history.timerProcessorMaxPollRPS=2000',
      'frontend.enableUpdateWorkflowExecution=true',
      ...settings,
    ]),
    ...option('sqlite-pragma', ['journal_mode=WAL', 'synchronous=2']),
    ...option(
      'search-attribute',
      Object.values(searchAttributes).map(({ name }) => `${name}=Keyword`),
    ),
  ];
}

function notStarted(how: string | undefined, lastWords: string): never {
  const words = lastWords.trim() || 'nothing';
  throw new Error(`the Temporal server ended while it started (${how}); it said: ${words}`);
}

async function untilAnswers(address: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: 1000 });
      await connection.workflowService.describeNamespace({ namespace: 'default' });
      await connection.close();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((done) => setTimeout(done, 100));
    }
  }
}
