/** The Temporal server of `blockflow up`, which answers only its owner. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '../../activities/adapters/process/environment.ts';
import { NO_IPV6 } from './free-port.ts';
import { serverOf, type TemporalServer } from './temporal-server.ts';

const script = fileURLToPath(
  new URL(`front/process${extname(fileURLToPath(import.meta.url))}`, import.meta.url),
);
const isRoot = process.getuid?.() === 0;
/** An ordinary user may have a network in a user namespace. */
const OWN_NETWORK = [...(isRoot ? [] : ['--user', '--map-root-user']), '--net'];
const IN_IT = ['sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
/** The machine gives us no network of our own; nothing was started. */
export class NoOwnNetwork extends Error {
  override readonly name = 'NoOwnNetwork';
  /** The command that is not installed; null when the system refuses. */
  readonly missing: 'unshare' | 'ip' | null;

  constructor(message: string, missing: 'unshare' | 'ip' | null) {
    super(message);
    this.missing = missing;
  }
}

/** Of a shell that does not find the command. */
const NOT_FOUND = 127;

export interface GuardedOptions {
  stateDir: string;
  port: number;
  uiPort: number;
}

/** Of the machine's network, for the front of this name. */
interface Opened {
  name: 'grpc' | 'ui';
  listener: Server;
}

/**
 * Starts it, and waits until it answers.
 * @throws NoOwnNetwork
 */
export async function startGuardedServer(options: GuardedOptions): Promise<TemporalServer> {
  const { stateDir, port, uiPort } = options;
  const opened: Opened[] = [];
  try {
    await openAll(options, opened);
    const run = [...OWN_NETWORK, ...IN_IT, process.execPath, ...process.execArgv, script, stateDir];
    // In a process group of its own: a ^C in the terminal of `up` must not end it before the
    // workers.
    const child = spawn('unshare', run, {
      env: childEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      detached: true,
    });
    const started = untilStarted(child);
    const ended = new Promise<void>((end) => child.once('error', end).once('exit', () => end()));
    for (const { name, listener } of opened) {
      // A child that has ended already is told of by `started`.
      if (child.connected) child.send(name, listener, () => listener.close());
    }
    await started;
    return serverOf(child, { port, uiPort, ended });
  } finally {
    for (const { listener } of opened) listener.close();
  }
}

/** The Web UI's also at ::1, where browsers look for its name first: no one else may answer. */
async function openAll({ port, uiPort }: GuardedOptions, opened: Opened[]): Promise<void> {
  opened.push({ name: 'grpc', listener: await listen(port, '127.0.0.1') });
  opened.push({ name: 'ui', listener: await listen(uiPort, '127.0.0.1') });
  try {
    opened.push({ name: 'ui', listener: await listen(uiPort, '::1') });
  } catch (error) {
    if (!NO_IPV6.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** It says when it is inside of its network, and when the server answers. */
function untilStarted(child: ChildProcess): Promise<void> {
  let isInside = false;
  let lastWords = '';
  child.stderr?.setEncoding('utf8').on('data', (words: string) => {
    lastWords = `${lastWords}${words}`.slice(-1000);
  });
  return new Promise((resolve, reject) => {
    child.on('message', (news) => {
      if (news === 'ready') resolve();
      isInside = true;
    });
    child.once('error', ({ message, code }: NodeJS.ErrnoException) => {
      reject(new NoOwnNetwork(message, code === 'ENOENT' ? 'unshare' : null));
    });
    child.once('close', (code) => {
      const words = lastWords.trim() || 'unshare said nothing';
      const missing = code === NOT_FOUND ? 'ip' : null;
      reject(isInside ? new Error(words) : new NoOwnNetwork(words, missing));
    });
  });
}

/** Until the front has it, who comes is sent away. */
async function listen(port: number, address: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  server.listen(port, address);
  await once(server, 'listening');
  return server;
}
