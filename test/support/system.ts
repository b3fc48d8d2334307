/**
 * The whole of blockflow for a test: a private host, a Temporal server, and the three roles as real
 * processes.
 */
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import type { WorkerConfig } from '../../worker/config.ts';
import { roleNames, type RoleName } from '../../worker/roles.ts';
import { startTemporalServer, type TemporalServer } from '../../worker/temporal-server.ts';
import { operationId, ORCHESTRATOR_QUEUE, searchAttributes } from '../../workflows/contract.ts';
import { liveMergeInput, type LiveMergeRequest } from '../../workflows/schemas.ts';
import type { LiveMergeResult } from '../../workflows/schemas.ts';
import type { Fault } from './faults.ts';
import { BUNDLES } from './host-folder.ts';
import { startPrivateHost, type PrivateHost } from './private-host.ts';
import { isPaused } from './processes.ts';
import { waitUntil } from './wait-until.ts';

export const HOST = 'h1';
const roleScript = fileURLToPath(new URL('role-process.ts', import.meta.url));

/** A process of a role; there may be a second SPM agent. */
export type Instance = RoleName | 'spm2';
const roleOf = (name: Instance): RoleName => (name === 'spm2' ? 'spm' : name);

type MergeOperation = WorkflowHandle<(input: unknown) => Promise<LiveMergeResult>>;

export interface System {
  host: PrivateHost;
  client: Client;
  temporal: TemporalServer;
  stateDir: string;
  runtimeDir: string;
  /** One line for each effect that any role let through its door, in order. */
  trace: string;
  startRole(name: Instance, faults?: readonly Fault[]): Promise<void>;
  /** SIGKILL by default; returns when the process is gone. */
  killRole(name: Instance, signal?: NodeJS.Signals): Promise<void>;
  /** Resolves when the role's process has ended, for example by a planned fault. */
  roleEnded(name: Instance): Promise<RoleEnd | undefined>;
  signalRole(name: Instance, signal: NodeJS.Signals): void;
  /**
   * Resolves when a planned fault has stopped the role; `signalRole(name, 'SIGCONT')` ends that.
   */
  roleStopped(name: Instance): Promise<void>;
  /** Process id of a running role. */
  rolePid(name: Instance): number;
  killTemporal(): Promise<void>;
  startTemporal(): Promise<void>;
  /**
   * Starts again what was killed, and roles with planned faults: the next test finds all whole. The
   * second SPM agent is ended.
   */
  revive(): Promise<void>;
  /** Starts a LiveMerge on this host as the client library does. */
  merge(request: Omit<LiveMergeRequest, 'host'>): Promise<MergeOperation>;
  effects(): Promise<string[]>;
  close(): Promise<void>;
}

export interface SystemOptions {
  /** Goes into the name of the host's folder. */
  name?: string;
  roles?: readonly RoleName[];
  /** Makes the folder, below the host's, that comes first on the PATH of the roles. */
  pathFolder?: (root: string) => string;
  faults?: Partial<Record<RoleName, readonly Fault[]>>;
  /** More of the workers' configuration. */
  config?: Partial<WorkerConfig>;
}

/** Starts everything and returns when every role has said that it is ready. */
export async function startSystem(options: SystemOptions = {}): Promise<System> {
  const { host, stateDir, runtimeDir, trace, path } = await prepareHost(options);
  let temporal = await startTemporalServer({ stateDir });
  const connection = await Connection.connect({ address: temporal.address });
  const client = new Client({ connection });
  let temporalRuns = true;
  const dirs = { stateDir, runtimeDir, cacheDir: BUNDLES };
  const config = { host: HOST, libvirtUri: host.uri, ...dirs, ...options.config };
  const processes: RoleProcesses = new Map();
  const start = async (name: Instance, faults: readonly Fault[] = []) => {
    const args = [roleOf(name), JSON.stringify(config), JSON.stringify(faults), trace];
    const log = join(host.root, `${name}.log`);
    const env = { TEMPORAL_ADDRESS: temporal.address, NODE_OPTIONS: '', ...path };
    const faulty = faults.length > 0;
    processes.set(name, { faulty, ...(await startRoleProcess(args, log, env)) });
  };

  const system: System = {
    host,
    client,
    get temporal() {
      return temporal;
    },
    stateDir,
    runtimeDir,
    trace,
    startRole: start,
    ...controlRoles(processes),
    async killTemporal() {
      process.kill(temporal.pid, 'SIGKILL');
      await temporal.ended;
      temporalRuns = false;
    },
    async startTemporal() {
      const [port, uiPort] = [portOf(temporal.address), portOf(temporal.uiUrl)];
      temporal = await startTemporalServer({ stateDir, port, uiPort });
      temporalRuns = true;
    },
    async revive() {
      if (!temporalRuns) await system.startTemporal();
      if (!host.libvirtdRuns()) await host.startLibvirtd();
      await reviveRoles(processes, start);
    },
    merge: (request) => startMerge(client, { ...request, host: HOST }),
    effects: () => linesOf(trace),
    async close() {
      for (const name of processes.keys()) await system.killRole(name);
      await connection.close();
      await temporal.stop();
      await host.close();
    },
  };
  const roles = options.roles ?? roleNames;
  await Promise.all(roles.map((name) => system.startRole(name, options.faults?.[name])));
  return system;
}

async function prepareHost({ name, pathFolder }: SystemOptions) {
  const host = await startPrivateHost(name === undefined ? {} : { name });
  const stateDir = join(host.root, 'state');
  mkdirSync(stateDir, { recursive: true });
  const first = pathFolder?.(host.root);
  return {
    host,
    stateDir,
    runtimeDir: join(host.root, 'runtime'),
    trace: join(host.root, 'effects'),
    path: first === undefined ? {} : { PATH: `${first}:${process.env['PATH']}` },
  };
}

const portOf = (address: string) => Number(address.split(':').at(-1));
const linesOf = async (file: string) =>
  (await readFile(file, 'utf8').catch(() => '')).split('\n').filter(Boolean);

async function reviveRoles(
  processes: RoleProcesses,
  start: (name: Instance) => Promise<void>,
): Promise<void> {
  for (const [name, role] of processes) {
    const isSecond = name === 'spm2';
    if (!isSecond && !role.isOver() && !role.faulty) continue;
    role.kill('SIGKILL');
    await role.ended;
    processes.delete(name);
    if (!isSecond) await start(name);
  }
}

type RoleProcesses = Map<Instance, RoleProcess & { faulty: boolean }>;

function controlRoles(processes: RoleProcesses) {
  const rolePid = (name: Instance) => processes.get(name)?.pid ?? 0;
  return {
    rolePid,
    async killRole(name: Instance, signal: NodeJS.Signals = 'SIGKILL') {
      processes.get(name)?.kill(signal);
      await processes.get(name)?.ended;
    },
    roleEnded: async (name: Instance) => processes.get(name)?.ended,
    roleStopped: (name: Instance) => isStopped(rolePid(name), name),
    signalRole: (name: Instance, signal: NodeJS.Signals) => processes.get(name)?.kill(signal),
  };
}

/** Starts a LiveMerge as the client library does. */
export function startMerge(client: Client, request: LiveMergeRequest): Promise<MergeOperation> {
  const input = liveMergeInput.parse(request);
  return client.workflow.start<(input: unknown) => Promise<LiveMergeResult>>('LiveMerge', {
    workflowId: operationId(input),
    taskQueue: ORCHESTRATOR_QUEUE,
    args: [input],
    typedSearchAttributes: [
      { key: searchAttributes.vm, value: input.vm },
      { key: searchAttributes.disk, value: input.disk },
      { key: searchAttributes.host, value: input.host },
      { key: searchAttributes.operation, value: 'LiveMerge' },
    ],
  });
}

async function isStopped(pid: number, name: string): Promise<void> {
  await waitUntil(`${name} to stop at its fault`, () => isPaused(pid), { timeoutMs: 60_000 });
}

interface RoleEnd {
  exitCode: number | undefined;
  signal: string | undefined;
}

interface RoleProcess {
  pid: number;
  kill(signal: NodeJS.Signals): void;
  isOver(): boolean;
  ended: Promise<RoleEnd>;
}

async function startRoleProcess(
  args: string[],
  logFile: string,
  env: Record<string, string>,
): Promise<RoleProcess> {
  const before = (await readFile(logFile, 'utf8').catch(() => '')).length;
  const output = { file: logFile, append: true } as const;
  const child = execa(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', roleScript, ...args],
    {
      env,
      stdin: 'ignore',
      stdout: output,
      stderr: output,
      buffer: false,
      reject: false,
      cleanup: true,
    },
  );
  let over = false;
  const ended = child.then(({ exitCode, signal }) => ((over = true), { exitCode, signal }));
  const isReady = async () => {
    const text = (await readFile(logFile, 'utf8').catch(() => '')).slice(before);
    if (over) throw new Error(`${args[0]} ended while it started: ${text.slice(-2000)}`);
    return text.includes(`${args[0]} is ready`);
  };
  const what = `${args[0]} to be ready (see ${logFile})`;
  // The first orchestrator of a version bundles its workflows, on a machine that may be busy.
  await waitUntil(what, isReady, { timeoutMs: 60_000 });
  return {
    pid: child.pid ?? 0,
    kill: (signal) => void child.kill(signal),
    isOver: () => over,
    ended,
  };
}
