/** A Temporal server as it comes: nothing of ours is registered in it. */
import { execa } from 'execa';
import { Connection } from '@temporalio/client';
import { findTemporalBinary } from '../../../../worker/up/temporal-binary.ts';
import { freePort } from '../../../../worker/up/free-port.ts';
import { waitUntil } from '../../wait-until.ts';

const NAMESPACE = 'default';
const KEYWORD = 2;

export interface BareTemporal {
  address: string;
  connection: Connection;
  /** Names of the custom search attributes, sorted. */
  searchAttributes(): Promise<string[]>;
  /** Registers keywords by these names. */
  register(names: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

/** In memory, without a Web UI. */
export async function startBareTemporal(): Promise<BareTemporal> {
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const listen = ['--ip', '127.0.0.1', '--port', `${port}`, '--headless', '--log-level', 'error'];
  const server = execa((await findTemporalBinary()) ?? '', ['server', 'start-dev', ...listen], {
    stdio: 'ignore',
    reject: false,
  });
  const connection = await waitUntil(`Temporal at ${address}`, () => connect(address));
  const { operatorService } = connection;
  return {
    address,
    connection,
    async searchAttributes() {
      const found = await operatorService.listSearchAttributes({ namespace: NAMESPACE });
      return Object.keys(found.customAttributes ?? {}).sort();
    },
    async register(names) {
      const searchAttributes = Object.fromEntries(names.map((name) => [name, KEYWORD]));
      await operatorService.addSearchAttributes({ namespace: NAMESPACE, searchAttributes });
    },
    async stop() {
      await connection.close();
      server.kill('SIGTERM');
      await server;
    },
  };
}

async function connect(address: string): Promise<Connection | undefined> {
  try {
    const connection = await Connection.connect({ address, connectTimeout: 1000 });
    await connection.workflowService.describeNamespace({ namespace: NAMESPACE });
    return connection;
  } catch {
    return undefined;
  }
}
