/** The configuration of one Temporal server of a cluster, with all four services. */
import { freePort } from '../../../worker/up/free-port.ts';
import { DATABASE_USER } from './postgres.ts';

const SERVICES = ['frontend', 'history', 'matching', 'worker'] as const;
/** A site chooses this once and cannot change it. Each shard belongs to one server at a time. */
const SHARDS = 16;
const LOOPBACK = '127.0.0.1';

export interface ServerConfig {
  /** Where clients reach this server. */
  port: number;
  /** JSON, which is YAML, too. */
  text: string;
}

/** @param databasePort of PostgreSQL, with the databases `temporal` and `temporal_visibility` */
export async function serverConfig(databasePort: number): Promise<ServerConfig> {
  const services: Record<string, object> = {};
  let port = 0;
  for (const name of SERVICES) {
    const grpcPort = await freePort();
    if (name === 'frontend') port = grpcPort;
    const membershipPort = await freePort();
    services[name] = { rpc: { grpcPort, membershipPort, bindOnIP: LOOPBACK } };
  }
  const config = {
    log: { stdout: true, level: 'warn' },
    persistence: {
      defaultStore: 'default',
      visibilityStore: 'visibility',
      numHistoryShards: SHARDS,
      datastores: {
        default: postgres(databasePort, 'temporal', 20),
        visibility: postgres(databasePort, 'temporal_visibility', 10),
      },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: LOOPBACK } },
    services,
    clusterMetadata: clusterOf(port),
  };
  return { port, text: JSON.stringify(config, null, 2) };
}

function postgres(port: number, databaseName: string, maxConns: number): object {
  const connection = { connectAddr: `${LOOPBACK}:${port}`, connectProtocol: 'tcp' };
  const pool = { maxConns, maxIdleConns: maxConns, maxConnLifetime: '1h' };
  const user = { user: DATABASE_USER, password: DATABASE_USER };
  return { sql: { pluginName: 'postgres12', databaseName, ...connection, ...user, ...pool } };
}

/** Several servers, one cluster: nothing is replicated to another site. */
const clusterOf = (port: number) => ({
  enableGlobalNamespace: false,
  failoverVersionIncrement: 10,
  masterClusterName: 'active',
  currentClusterName: 'active',
  clusterInformation: {
    active: {
      enabled: true,
      initialFailoverVersion: 1,
      rpcName: 'frontend',
      rpcAddress: `${LOOPBACK}:${port}`,
    },
  },
});
