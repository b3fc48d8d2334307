/**
 * PostgreSQL with a database of its own in a folder, on a free port of 127.0.0.1. It has a process
 * and an IPC namespace of its own, so that a SIGKILL takes all of it, and leaves no shared memory.
 */
import { once } from 'node:events';
import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { freePort } from '../../../worker/up/free-port.ts';
import { postgresFolder } from './programs.mjs';
import { waitUntil } from '../wait-until.ts';

/** PostgreSQL refuses to run as root; Debian's package brings this user. */
const USER = 'postgres';
const asUser = ['setpriv', '--reuid', USER, '--regid', USER, '--clear-groups'];
const ALONE = ['unshare', '--pid', '--fork', '--ipc', '--mount-proc', '--kill-child=SIGKILL'];
/** Of the database; anyone on 127.0.0.1 is let in. */
export const DATABASE_USER = 'temporal';

export interface Postgres {
  port: number;
  pid(): number;
  start(): Promise<void>;
  /** SIGKILL to all its processes; returns when they are gone. */
  kill(): Promise<void>;
}

/** @param folder is made, and names what its owner's other processes name */
export async function startPostgres(folder: string, log: string): Promise<Postgres> {
  const bin = postgresFolder();
  if (bin === undefined) throw new Error('no PostgreSQL: run `npm run test:cluster`');
  const data = join(folder, 'data');
  await mkdir(folder);
  const [uid, gid] = await Promise.all(['-u', '-g'].map(idOf));
  await chown(folder, uid as number, gid as number);
  const [as = '', ...user] = asUser;
  const kind = ['--auth', 'trust', '--username', DATABASE_USER, '--encoding', 'UTF8'];
  const locale = ['--locale', 'C.UTF-8', '--no-sync'];
  await execa(as, [...user, join(bin, 'initdb'), '-D', data, ...kind, ...locale]);

  const port = await freePort();
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    dynamic_shared_memory_type: 'mmap',
    // Each of the four services of a server has connections of its own.
    max_connections: 300,
  };
  const set = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const start = () => {
    const dies = ['--pdeathsig', 'SIGKILL'];
    const command = [...ALONE, ...asUser, ...dies, join(bin, 'postgres'), '-D', data, ...set];
    return runLogged(command, log);
  };
  let server = start();
  const untilAnswers = () =>
    waitUntil(`PostgreSQL on port ${port}; its log is ${log}`, async () => {
      const asked = ['-h', '127.0.0.1', '-p', String(port), '-U', DATABASE_USER];
      const { exitCode } = await execa(join(bin, 'pg_isready'), asked, { reject: false });
      return exitCode === 0;
    });
  await untilAnswers();
  return {
    port,
    async start() {
      server = start();
      await untilAnswers();
    },
    kill: () => server.kill(),
    pid: () => server.pid,
  };
}

const idOf = async (which: string) => Number((await execa('id', [which, USER])).stdout);

/** A process that ends with this one. */
export interface Logged {
  pid: number;
  isOver(): boolean;
  /** SIGKILL; returns when it is gone. Does nothing when it has ended. */
  kill(): Promise<void>;
}

export function runLogged([file = '', ...args]: string[], log: string): Logged {
  const output = { file: log, append: true } as const;
  const how = { stdin: 'ignore', stdout: output, stderr: output } as const;
  const child = execa(file, args, { ...how, buffer: false, reject: false, cleanup: true });
  let over = false;
  const exit = once(child.nodeChildProcess, 'exit').then(() => (over = true));
  return {
    pid: child.pid ?? 0,
    isOver: () => over,
    async kill() {
      child.kill('SIGKILL');
      await exit;
    },
  };
}
