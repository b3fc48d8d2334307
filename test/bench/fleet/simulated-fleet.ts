/**
 * A real Temporal server and a real orchestrator, with a hundred hosts whose agents are simulated:
 * `test/support/contract/` holds them to what real ones do.
 */
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { startTemporalServer } from '../../../worker/up/temporal-server.ts';
import { hostQueue } from '../../../workflows/operation/contract.ts';
import {
  BUNDLES,
  DEFAULT_HOSTS_FOLDER,
  makeOwnFolder,
  makeStateFolder,
  removeHost,
} from '../../support/host/host-folder.ts';
import { runRoles, type RunningRoles } from '../../support/host/roles/running-roles.ts';
import { agentActivities } from '../../support/simulator/simulated-agents.ts';
import { SimulatedVm } from '../../support/simulator/simulated-vm.ts';
import { quiet, SPM_QUEUES } from '../../support/workflow-bench.ts';
import { startBareOrchestrator } from '../bare/bare.ts';

const HOSTS = 100;
/** As real agents beat and look. */
const BEAT_MS = 1000;
const TICK_MS = 100;
const hostAt = (at: number) => `fleet-${at % HOSTS}`;

export interface FleetVm {
  vm: SimulatedVm;
  host: string;
}

export interface Fleet {
  client: Client;
  roles: RunningRoles;
  address: string;
  /** New VMs of one snapshot each, spread over the hosts; those before are forgotten. */
  renewVms(count: number): FleetVm[];
  close(): Promise<void>;
}

export async function startFleet(): Promise<Fleet> {
  quiet();
  const root = await makeOwnFolder(DEFAULT_HOSTS_FOLDER, 'fleet');
  const stateDir = await makeStateFolder(root, { onDisk: true });
  const temporal = await startTemporalServer({ stateDir });
  const { address } = temporal;
  const client = new Client({ connection: await Connection.connect({ address }) });
  const vms = new Map<string, SimulatedVm>();
  const agents = await serveHosts(address, vms);
  const bare = await startBareOrchestrator(address);
  const roles = runRoles({
    root,
    config: { host: 'control', stateDir, runtimeDir: join(root, 'runtime'), cacheDir: BUNDLES },
    trace: join(root, 'effects'),
    env: () => ({ TEMPORAL_ADDRESS: address }),
  });
  await roles.startRole('orchestrator');
  let made = 0;
  return {
    client,
    roles,
    address,
    renewVms(count) {
      vms.clear();
      return Array.from({ length: count }, (_, at) => {
        const vm = new SimulatedVm(`vm${++made}`);
        vm.tickMs = TICK_MS;
        vms.set(vm.slug, vm);
        return { vm, host: hostAt(at) };
      });
    },
    async close() {
      await roles.killRoles();
      await bare.stop();
      await agents.stop();
      await client.connection.close();
      await temporal.stop();
      await removeHost(root);
    },
  };
}

/** The agents of all hosts and pools in this process. */
async function serveHosts(address: string, vms: ReadonlyMap<string, SimulatedVm>) {
  const activities = { ...agentActivities(vms, new Map(), BEAT_MS), bare: () => Promise.resolve() };
  const hosts = Array.from({ length: HOSTS }, (_, at) => hostQueue(hostAt(at)));
  const running: { worker: Worker; done: Promise<void>; connection: NativeConnection }[] = [];
  for (const taskQueue of [...hosts, ...SPM_QUEUES]) {
    // Each has its own, as on real hosts: the long polls of all do not fit into one.
    const connection = await NativeConnection.connect({ address });
    const worker = await Worker.create({ connection, taskQueue, activities });
    running.push({ worker, done: worker.run(), connection });
  }
  return {
    async stop() {
      for (const { worker } of running) worker.shutdown();
      await Promise.all(running.map(({ done }) => done));
      for (const { connection } of running) await connection.close();
    },
  };
}
