/**
 * The whole of blockflow for a test: a private host, a Temporal server, and the three roles as real
 * processes.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import type { WorkerConfig } from '../../../worker/environment/config.ts';
import { roleNames, type RoleName } from '../../../worker/roles/start.ts';
import { startTemporalServer, type TemporalServer } from '../../../worker/up/temporal-server.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import { ORCHESTRATOR_QUEUE, searchAttributes } from '../../../workflows/operation/contract.ts';
import { liveMergeInput, type LiveMergeRequest } from '../../../workflows/merge/request.ts';
import type { LiveMergeResult } from '../../../workflows/merge/kind.ts';
import type { Fault } from '../faults/faults.ts';
import { BUNDLES, makeStateFolder } from './host-folder.ts';
import { startPrivateHost, type PrivateHost } from './private-host.ts';
import { promptTimers } from '../prompt-timers.ts';
import { runRoles, type RunningRoles } from './roles/running-roles.ts';

export const HOST = 'h1';

type MergeOperation = WorkflowHandle<(input: unknown) => Promise<LiveMergeResult>>;

export interface System extends RunningRoles {
  host: PrivateHost;
  client: Client;
  temporal: TemporalServer;
  namespace: string;
  stateDir: string;
  runtimeDir: string;
  /** One line for each effect that any role let through its door, in order. */
  trace: string;
  killTemporal(): Promise<void>;
  startTemporal(): Promise<void>;
  /** As of roles, and of libvirtd and Temporal. */
  revive(): Promise<void>;
  /** Starts a LiveMerge on this host as the client library does. */
  merge(request: Omit<LiveMergeRequest, 'host'>): Promise<MergeOperation>;
  effects(): Promise<string[]>;
  close(): Promise<void>;
}

/** A Temporal that is not the system's own, which it does not kill. */
export interface GivenTemporal {
  address: string;
  namespace: string;
  close(): Promise<void>;
}

export interface SystemOptions {
  /** Goes into the name of the host's folder. */
  name?: string;
  /** Of the host. */
  etc?: string;
  roles?: readonly RoleName[];
  /** Makes the folder, below the host's, that comes first on the PATH of the roles. */
  pathFolder?: (root: string) => string;
  faults?: Partial<Record<RoleName, readonly Fault[]>>;
  /** With its state on a disk, as a user has it: for measurements. */
  onDisk?: boolean;
  /** More of the workers' configuration. */
  config?: Partial<WorkerConfig>;
  /** Starts another Temporal than an embedded server; it is closed with the system. */
  startTemporal?: (stateDir: string) => Promise<GivenTemporal>;
}

/** Starts everything and returns when every role has said that it is ready. */
export async function startSystem(options: SystemOptions = {}): Promise<System> {
  const { host, stateDir, runtimeDir, trace, path } = await prepareHost(options);
  const server = { stateDir, settings: promptTimers };
  const given = await options.startTemporal?.(stateDir);
  let temporal = given ? asServer(given) : await startTemporalServer(server);
  const namespace = given?.namespace ?? 'default';
  const connection = await Connection.connect({ address: temporal.address });
  const client = new Client({ connection, namespace });
  let temporalRuns = true;
  const dirs = { stateDir, runtimeDir, cacheDir: BUNDLES };
  const config = { host: HOST, libvirtUri: host.uri, ...dirs, ...options.config };
  const env = () => ({
    TEMPORAL_ADDRESS: temporal.address,
    TEMPORAL_NAMESPACE: namespace,
    ...path,
  });
  const roles = runRoles({ root: host.root, config, trace, env });

  const system: System = {
    host,
    client,
    get temporal() {
      return temporal;
    },
    namespace,
    stateDir,
    runtimeDir,
    trace,
    ...roles,
    async killTemporal() {
      process.kill(temporal.pid, 'SIGKILL');
      await temporal.ended;
      temporalRuns = false;
    },
    async startTemporal() {
      const [port, uiPort] = [portOf(temporal.address), portOf(temporal.uiUrl)];
      temporal = await startTemporalServer({ ...server, port, uiPort });
      temporalRuns = true;
    },
    async revive() {
      if (!temporalRuns) await system.startTemporal();
      if (!host.libvirtdRuns()) await host.startLibvirtd();
      await roles.revive();
    },
    merge: (request) => startMerge(client, { ...request, host: HOST }),
    effects: () => linesOf(trace),
    async close() {
      await roles.killRoles();
      await connection.close();
      await temporal.stop();
      await host.close();
    },
  };
  const wanted = options.roles ?? roleNames;
  await Promise.all(wanted.map((name) => system.startRole(name, options.faults?.[name])));
  return system;
}

/** Its processes are the test's matter: no pid, no end. */
const asServer = ({ address, close }: GivenTemporal): TemporalServer => ({
  address,
  uiUrl: '',
  pid: NaN,
  ended: new Promise(() => undefined),
  stop: close,
});

async function prepareHost(options: SystemOptions) {
  const { name, etc, pathFolder, onDisk = false } = options;
  const host = await startPrivateHost({ ...(name && { name }), ...(etc && { etc }) });
  const first = pathFolder?.(host.root);
  return {
    host,
    stateDir: await makeStateFolder(host.root, { onDisk }),
    runtimeDir: join(host.root, 'runtime'),
    trace: join(host.root, 'effects'),
    path: first === undefined ? {} : { PATH: `${first}:${process.env['PATH']}` },
  };
}

const portOf = (address: string) => Number(address.split(':').at(-1));
const linesOf = async (file: string) =>
  (await readFile(file, 'utf8').catch(() => '')).split('\n').filter(Boolean);

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
