/**
 * A Temporal cluster as a site has it: two servers with all services on PostgreSQL, behind one
 * address, with a namespace and search attributes that an administrator made by Temporal's tools.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { Connection } from '@temporalio/client';
import { registerCommand } from '../../../worker/environment/search-attributes.ts';
import { findTemporalBinary } from '../../../worker/up/temporal-binary.ts';
import { clusterPrograms } from './programs.mjs';
import { waitUntil } from '../wait-until.ts';
import { startBalancer } from './balancer.ts';
import { DATABASE_USER, runLogged, startPostgres, type Logged } from './postgres.ts';
import { serverConfig } from './server-config.ts';

export const NAMESPACE = 'vms';
const RETENTION = '72h';
/** Each server takes part when the other one has seen it; the first start waits for a join. */
const START = { timeoutMs: 120_000, intervalMs: 100 };

export interface ClusterServer {
  pid(): number;
  start(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

export interface Cluster {
  /** Of the load balancer. */
  address: string;
  namespace: string;
  servers: readonly [ClusterServer, ClusterServer];
  postgres: ClusterServer;
  /** Types `temporal …`. @returns what it prints */
  temporal(...args: string[]): Promise<string>;
  /** Of its processes; PostgreSQL's is the parent of all of its own. */
  pids(): Record<string, number>;
  /** Starts again what was killed. */
  revive(): Promise<void>;
  close(): Promise<void>;
}

/** @param stateDir of a private host, whose removal ends all processes, too */
export async function startCluster(stateDir: string): Promise<Cluster> {
  const folder = join(stateDir, 'cluster');
  const log = (name: string) => join(dirname(stateDir), `${name}.log`);
  await mkdir(folder);
  const postgres = await startPostgres(join(folder, 'postgres'), log('postgres'));
  await makeSchema(postgres.port);
  const first = await makeServer(folder, postgres.port, log('temporal-1'));
  const second = await makeServer(folder, postgres.port, log('temporal-2'));
  // One after the other: only one of them can write the cluster's own record, and the other ends.
  await first.start();
  await second.start();
  const balancer = await startBalancer([first.port, second.port]);
  const { address } = balancer;
  const binary = (await findTemporalBinary()) ?? '';
  const temporal = async (...args: string[]) =>
    (await execa(binary, [...args, '--address', address])).stdout;
  const parts = [postgres, first, second].map(watched);
  const [database, one, two] = parts as [Watched, Watched, Watched];
  await administer(temporal);
  return {
    address,
    namespace: NAMESPACE,
    servers: [one, two],
    postgres: database,
    temporal,
    pids: () => ({ 'server 1': one.pid(), 'server 2': two.pid(), PostgreSQL: database.pid() }),
    async revive() {
      for (const part of parts) if (!part.runs()) await part.start();
    },
    async close() {
      await balancer.close();
      for (const part of [one, two, database]) await part.kill();
    },
  };
}

interface Watched extends ClusterServer {
  runs(): boolean;
}

function watched(server: ClusterServer): Watched {
  let runs = true;
  return {
    runs: () => runs,
    pid: () => server.pid(),
    async start() {
      await server.start();
      runs = true;
    },
    async kill() {
      await server.kill();
      runs = false;
    },
  };
}

/** By the server's own tool, which has the schemas inside. */
async function makeSchema(port: number): Promise<void> {
  const at = ['--plugin', 'postgres12', '--endpoint', '127.0.0.1', '--port', String(port)];
  const user = ['--user', DATABASE_USER, '--password', DATABASE_USER];
  for (const [database, schema] of [
    ['temporal', 'postgresql/v12/temporal'],
    ['temporal_visibility', 'postgresql/v12/visibility'],
  ] as const) {
    const tool = (...args: string[]) =>
      execa(clusterPrograms.sqlTool, [...at, ...user, '--database', database, ...args]);
    await tool('create-database');
    await tool('setup-schema', '--version', '0.0');
    await tool('update-schema', '--schema-name', schema);
  }
}

async function makeServer(
  folder: string,
  databasePort: number,
  log: string,
): Promise<ClusterServer & { port: number }> {
  const { port, text } = await serverConfig(databasePort);
  const file = join(folder, `${port}.yaml`);
  await writeFile(file, text);
  let server: Logged | undefined;
  return {
    port,
    pid: () => server?.pid ?? 0,
    async start() {
      const command = [clusterPrograms.server, '--config-file', file, '--allow-no-auth', 'start'];
      const started = runLogged(command, log);
      server = started;
      const isReady = () => {
        if (started.isOver()) throw new Error(`the server ended while it started: ${log}`);
        return answers(port);
      };
      await waitUntil(`the server whose log is ${log}`, isReady, START);
    },
    async kill() {
      await server?.kill();
    },
  };
}

async function answers(port: number): Promise<boolean> {
  try {
    const address = `127.0.0.1:${port}`;
    const connection = await Connection.connect({ address, connectTimeout: 1000 });
    await connection.workflowService.getClusterInfo({});
    await connection.close();
    return true;
  } catch {
    return false;
  }
}

/** What the guide tells an administrator to type. */
async function administer(temporal: Cluster['temporal']): Promise<void> {
  const create = ['operator', 'namespace', 'create', '--namespace', NAMESPACE];
  await temporal(...create, '--retention', RETENTION);
  const [, ...register] = registerCommand(NAMESPACE).split(' ');
  await waitUntil(`namespace ${NAMESPACE}`, () =>
    temporal(...register).then(
      () => true,
      () => false,
    ),
  );
}
