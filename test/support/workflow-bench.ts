/**
 * A real Temporal server and orchestrators in this process, with agents whose host is simulated.
 */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import {
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import { createEffect } from '../../activities/door/effect.ts';
import { observeEvents } from '../../activities/orchestrator/observe-events.ts';
import { createOrchestratorActivities } from '../../activities/orchestrator/index.ts';
import { workflowSource } from '../../worker/bundle.ts';
import { startTemporalServer } from '../../worker/up/temporal-server.ts';
import { hostQueue, spmQueue } from '../../workflows/operation/contract.ts';
import { kinds, statusQuery, type OperationStatus } from '../../workflows/kinds.ts';
import { operationId } from '../../workflows/chain/references.ts';
import { liveMergeInput, type LiveMergeRequest } from '../../workflows/merge/request.ts';
import type { AuditEvent } from '../../workflows/operation/audit/audit.ts';
import type { LiveMergeResult } from '../../workflows/merge/kind.ts';
import type { CopyImageRequest, MoveImageRequest } from '../../workflows/transfer/request.ts';
import type { RemoveImageRequest } from '../../workflows/removal/request.ts';
import type { RemoveImageResult } from '../../workflows/removal/kind.ts';
import type { CreateSnapshotRequest } from '../../workflows/snapshot/create/request.ts';
import type { DeleteSnapshotRequest } from '../../workflows/snapshot/delete/request.ts';
import type { RevertSnapshotRequest } from '../../workflows/snapshot/revert/request.ts';
import type { TransferResult } from '../../workflows/transfer/kind.ts';
import {
  BUNDLES,
  DEFAULT_HOSTS_FOLDER,
  makeOwnFolder,
  makeStateFolder,
  reapStaleHosts,
  removeHost,
} from './host/host-folder.ts';
import { promptTimers } from './prompt-timers.ts';
import { isFast } from './sample.ts';
import { agentActivities } from './simulator/simulated-agents.ts';
import type { AgentActivities } from './simulator/simulated-host.ts';
import type { SimulatedMachine } from './simulator/simulated-machine.ts';
import { POOLS, SimulatedVm } from './simulator/simulated-vm.ts';
import { waitUntil } from './wait-until.ts';

/** With 0, each task replays the whole history. */
export const CACHES = [
  { cache: 'with its cache', maxCachedWorkflows: 100 },
  { cache: 'without a cache', maxCachedWorkflows: 0 },
] as const;
/** Both, but in `npm run test:fast` the one with its cache, which costs half. */
export const TRIED_CACHES = isFast ? CACHES.slice(0, 1) : CACHES;
export type Cache = (typeof CACHES)[number];

export interface Gate {
  /** Resolves when the activity has begun; it then stays there until `open`. */
  reached: Promise<void>;
  open(): void;
}

type Stop = () => Promise<void>;

export type MergeHandle = WorkflowHandle<(input: unknown) => Promise<LiveMergeResult>>;

export type ImageRequest =
  | ({ operation: 'MoveImage' } & MoveImageRequest)
  | ({ operation: 'CopyImage' } & CopyImageRequest)
  | ({ operation: 'RemoveImage' } & RemoveImageRequest);
export type SnapshotRequest =
  | ({ operation: 'CreateSnapshot' } & CreateSnapshotRequest)
  | ({ operation: 'DeleteSnapshot' } & DeleteSnapshotRequest)
  | ({ operation: 'RevertSnapshot' } & RevertSnapshotRequest);
export type ImageHandle = WorkflowHandle<
  (input: unknown) => Promise<TransferResult | RemoveImageResult>
>;

export interface Bench {
  client: Client;
  /**
   * A VM with a name of its own on host h1 (another host has agents only when they are started).
   */
  addVm(layers?: number, pool?: string): SimulatedVm;
  /** One more disk of a VM. */
  addDisk(machine: SimulatedMachine, layers?: number, pool?: string): SimulatedVm;
  /** Holds the next run of this activity for this VM. */
  gate(vm: SimulatedVm, activity: keyof AgentActivities): Gate;
  merge(vm: SimulatedVm, cache: Cache, request?: Partial<LiveMergeRequest>): Promise<MergeHandle>;
  operate(cache: Cache, request: ImageRequest | SnapshotRequest): Promise<ImageHandle>;
  status(handle: MergeHandle): Promise<OperationStatus>;
  untilPhase(handle: MergeHandle, phase: OperationStatus['phase']): Promise<OperationStatus>;
  events(vm: SimulatedVm): Promise<AuditEvent[]>;
  startHostAgent(host: string): Promise<Stop>;
  /** What its agents serve. */
  activities: AgentActivities;
  /** An agent of a test's own; returns what ends it. */
  serve(queue: string, activities: object, more?: Partial<WorkerOptions>): Promise<Stop>;
  /** An orchestrator of another version. */
  orchestrate(queue: string, change: (code: string) => string): Promise<Stop>;
  allEvents(): Promise<AuditEvent[]>;
  /** Of the orchestrators. */
  auditFolder: string;
  /** From now on nothing can be written there; returns what ends that. */
  breakAuditLog(): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** Simulated pools have no id. */
export const SPM_QUEUES = POOLS.map((pool) => spmQueue({ pool, identity: '' }));

/** Call once in a test file. */
export async function startBench(): Promise<Bench> {
  quiet();
  await reapStaleHosts();
  const root = await makeOwnFolder(DEFAULT_HOSTS_FOLDER, 'bench');
  const stateDir = await makeStateFolder(root);
  const temporal = await startTemporalServer({ stateDir, settings: promptTimers });
  const { address } = temporal;
  const connection = await NativeConnection.connect({ address });
  const client = new Client({ connection: await Connection.connect({ address }) });
  const folder = join(stateDir, 'events');
  const vms = new Map<string, SimulatedVm>();
  const gates = new Map<string, Gate & { pass(): Promise<void> }>();
  const activities = agentActivities(vms, gates);
  const { serve, stop } = createWorkers(connection);
  const source = impatient(await workflowSource(BUNDLES));
  const audit = createOrchestratorActivities({ effect: createEffect([]), folder });
  for (const { cache, maxCachedWorkflows } of CACHES) {
    await serve({ taskQueue: cache, ...source, maxCachedWorkflows, activities: audit });
  }
  const startHostAgent = (host: string) => serve({ taskQueue: hostQueue(host), activities });
  await startHostAgent('h1');
  for (const taskQueue of SPM_QUEUES) await serve({ taskQueue, activities });

  const bench: Bench = {
    client,
    addVm: (layers = 1, pool = POOLS[0]) =>
      addTo(vms, new SimulatedVm(`vm${vms.size + 1}`, layers, 'vda', pool)),
    addDisk: (machine, layers = 1, pool = POOLS[0]) =>
      addTo(vms, new SimulatedVm(machine, layers, 'vdb', pool)),
    gate(vm, activity) {
      const gate = createGate();
      gates.set(`${vm.slug} ${activity}`, gate);
      return gate;
    },
    merge: (vm, cache, request = {}) => startMerge(client, cache, { ...refOf(vm), ...request }),
    operate: (cache, request) => startOperation(client, cache, request),
    status: (handle) => handle.query(statusQuery),
    untilPhase: (handle, phase) =>
      waitUntil(`phase ${phase}`, async () => {
        const status = await bench.status(handle);
        return status.phase === phase && status;
      }),
    events: (vm) => observeEvents({ effect: createEffect([]), folder }, eventsOf(vm)),
    startHostAgent,
    activities,
    serve: (taskQueue, own, more) => serve({ taskQueue, activities: own, ...more }),
    orchestrate: (taskQueue, change) =>
      serve({ taskQueue, ...changed(source, change), activities: audit }),
    allEvents: () => observeEvents({ effect: createEffect([]), folder }, { limit: 1000 }),
    auditFolder: folder,
    breakAuditLog: () => breakFolder(folder),
    async close() {
      await stop();
      await Promise.all([client.connection.close(), connection.close()]);
      await temporal.stop();
      await removeHost(root);
    },
  };
  return bench;
}

function addTo(vms: Map<string, SimulatedVm>, vm: SimulatedVm): SimulatedVm {
  vms.set(vm.slug, vm);
  return vm;
}

function startMerge(client: Client, { cache: taskQueue }: Cache, request: object) {
  const input = liveMergeInput.parse(request);
  const options = { workflowId: operationId(input), taskQueue, args: [input] as [unknown] };
  return client.workflow.start('LiveMerge', options) as Promise<MergeHandle>;
}

function startOperation(
  client: Client,
  { cache: taskQueue }: Cache,
  { operation, ...request }: ImageRequest | SnapshotRequest,
) {
  const kind = kinds[operation];
  const input = kind.request.parse(request);
  const options = { workflowId: kind.id(input as never), taskQueue, args: [input] as [unknown] };
  return client.workflow.start(operation, options) as Promise<ImageHandle>;
}

const diskOf = ({ name: vm, disk }: SimulatedVm) => ({ vm, disk });
const eventsOf = (vm: SimulatedVm) => ({ ...diskOf(vm), limit: 99 });
const refOf = (vm: SimulatedVm) => ({ ...diskOf(vm), host: 'h1' });

function createWorkers(connection: NativeConnection) {
  const running: { worker: Worker; done: Promise<void> }[] = [];
  return {
    async serve(options: WorkerOptions): Promise<Stop> {
      const beats = { maxHeartbeatThrottleInterval: 50, defaultHeartbeatThrottleInterval: 50 };
      const worker = await Worker.create({ connection, ...beats, ...options });
      const done = worker.run();
      running.push({ worker, done });
      return () => (worker.shutdown(), done);
    },
    async stop() {
      for (const { worker } of running) if (worker.getState() === 'RUNNING') worker.shutdown();
      await Promise.all(running.map(({ done }) => done));
    },
  };
}

/** Pauses of the workflows that are more than a test has. */
const SHORTER = [
  ["STUCK_AFTER = '15 minutes'", "STUCK_AFTER = '1 second'"],
  ["AGAIN_AFTER = '1 minute'", "AGAIN_AFTER = '20 milliseconds'"],
  ['FIRST_PAUSE_MS = 1000', 'FIRST_PAUSE_MS = 20'],
  ['first: 2000', 'first: 100'],
  ['let waitMs = 1000', 'let waitMs = 20'],
  ['sleep)(keepSeconds * 1000)', 'sleep)(keepSeconds * 20)'],
] as const;

function impatient({ workflowBundle }: Awaited<ReturnType<typeof workflowSource>>) {
  let code = workflowBundle && 'code' in workflowBundle ? workflowBundle.code : '';
  for (const [from, to] of SHORTER) {
    const [before, after, ...more] = code.split(from);
    if (after === undefined || more.length > 0) throw new Error(`${from} is said elsewhere`);
    code = `${before}${to}${after}`;
  }
  return { workflowBundle: { code } };
}

type Source = ReturnType<typeof impatient>;
const changed = ({ workflowBundle }: Source, change: (code: string) => string) => ({
  workflowBundle: { code: change(workflowBundle.code) },
});

/** A file in its place: nothing can be written there. */
async function breakFolder(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true });
  await rename(folder, `${folder}.kept`);
  await writeFile(folder, '');
  return async () => {
    await rm(folder);
    await rename(`${folder}.kept`, folder);
  };
}

/** Of Temporal's libraries in this process only errors are told. */
export function quiet(): void {
  const filter = { core: 'ERROR', other: 'ERROR' } as const;
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter } },
    shutdownSignals: [],
  });
}

export function createGate() {
  let reach: () => void = () => undefined;
  let open: () => void = () => undefined;
  const reached = new Promise<void>((resolve) => (reach = resolve));
  const opened = new Promise<void>((resolve) => (open = resolve));
  const pass = async () => {
    reach();
    await opened;
  };
  return { reached, open, pass };
}
