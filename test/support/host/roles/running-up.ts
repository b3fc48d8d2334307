/** `blockflow up` as a user starts it, and what it listens on. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandLine, startUp, type Through, type Typed } from './command-line.ts';
import { argumentsOf, isAlive, openPathsOf, otherPids, startTimeOf } from '../processes.ts';
import { waitUntil } from '../../wait-until.ts';

export interface RunningUp {
  folder: string;
  stateDir: string;
  env: Record<string, string>;
  /** What it has printed. */
  said(): string;
  blockflow: Typed;
  /** Of what it has started, too. */
  pids(): number[];
  /** TCP ports in the machine's network that it or what it has started listens on. */
  ports(): number[];
  temporalPid(): number | undefined;
  /** @returns the exit code */
  end(signal: NodeJS.Signals): Promise<number | undefined>;
  close(): Promise<void>;
}

/**
 * @param prepare what it needs in its folder, and how its commands become those of its user
 * @param uri of its libvirt, by default virsh's test driver
 */
export async function startRunningUp(
  prepare: (folder: string) => Promise<Through | undefined> = () => Promise.resolve(undefined),
  uri = 'test:///default',
): Promise<RunningUp> {
  const folder = await mkdtemp(join(tmpdir(), 'blockflow-up-'));
  const through = await prepare(folder);
  const stateDir = join(folder, 'state');
  const env = {
    BLOCKFLOW_STATE_DIR: stateDir,
    BLOCKFLOW_RUNTIME_DIR: join(folder, 'run'),
    BLOCKFLOW_CONNECT: uri,
    BLOCKFLOW_HOST: 'h1',
  };
  const child = startUp(env, through);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (words: Buffer) => (text += String(words)));
  }
  const ended = (async () => (await child).exitCode)();
  let over = false;
  void ended.then(() => (over = true));
  const up: RunningUp = {
    folder,
    stateDir,
    env,
    said: () => text,
    blockflow: commandLine(env, through),
    pids: () => familyOf(child.pid ?? 0),
    ports: () => [...new Set(listeningPorts(up.pids()))],
    temporalPid: () => serverOn(stateDir),
    async end(signal) {
      child.kill(signal);
      return ended;
    },
    async close() {
      await up.end('SIGKILL');
      await waitUntil('the server to end with `up`', () => serverOn(stateDir) === undefined);
      await rm(folder, { recursive: true, force: true });
    },
  };
  const isUp = () => {
    if (over) throw new Error(`\`blockflow up\` ended while it started: ${text}`);
    return text.includes('blockflow is up');
  };
  await waitUntil(() => `blockflow up: ${text}`, isUp, { timeoutMs: 120_000 });
  return up;
}

/** The process and its descendants. */
function familyOf(first: number): number[] {
  const parents = new Map(otherPids().map((pid) => [pid, parentOf(pid)]));
  const family = [first];
  for (const pid of family) {
    for (const [child, parent] of parents) if (parent === pid) family.push(child);
  }
  return family.filter((pid) => isAlive(pid));
}

function parentOf(pid: number): number {
  if (startTimeOf(pid) === undefined) return 0;
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

const serverOn = (stateDir: string) =>
  otherPids().find((pid) => {
    const args = argumentsOf(pid);
    return args[1] === 'server' && args.includes(join(stateDir, 'temporal.db')) && isAlive(pid);
  });

const LISTEN = '0A';

function listeningPorts(pids: readonly number[]): number[] {
  const sockets = new Set(pids.flatMap(openPathsOf));
  const tables = ['/proc/self/net/tcp', '/proc/self/net/tcp6'].filter(existsSync);
  const rows = tables.flatMap((table) => readFileSync(table, 'latin1').split('\n').slice(1));
  return rows.flatMap((row) => {
    const fields = row.trim().split(/\s+/);
    const [, local = '', , state, , , , , , inode] = fields;
    if (state !== LISTEN || !sockets.has(`socket:[${inode}]`)) return [];
    return [parseInt(local.split(':')[1] ?? '', 16)];
  });
}
