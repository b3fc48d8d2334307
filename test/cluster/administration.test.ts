/** What an administrator of a cluster has done, or has not: namespace and search attributes. */
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { connectBlockflow } from '../../client/index.ts';
import { registerCommand } from '../../worker/environment/search-attributes.ts';
import { searchAttributes } from '../../workflows/operation/contract.ts';
import { NAMESPACE, startCluster } from '../support/cluster/cluster.ts';
import {
  DEFAULT_HOSTS_FOLDER,
  makeOwnFolder,
  makeStateFolder,
  reapStaleHosts,
  removeHost,
} from '../support/host/host-folder.ts';
import { commandLine } from '../support/host/roles/command-line.ts';
import { HOST } from '../support/host/system.ts';
import { use } from '../support/use.ts';

const cluster = use('the cluster', async () => {
  await reapStaleHosts();
  const root = await makeOwnFolder(DEFAULT_HOSTS_FOLDER, 'cluster');
  const stateDir = await makeStateFolder(root);
  const started = await startCluster(stateDir);
  const close = async () => {
    await started.close();
    await removeHost(root);
  };
  return { ...started, stateDir, close };
});

const doctorOf = async (namespace: string) => {
  const env = {
    TEMPORAL_ADDRESS: cluster.address,
    TEMPORAL_NAMESPACE: namespace,
    BLOCKFLOW_STATE_DIR: cluster.stateDir,
    BLOCKFLOW_RUNTIME_DIR: join(cluster.stateDir, 'run'),
    BLOCKFLOW_CONNECT: 'test:///default',
    BLOCKFLOW_HOST: HOST,
  };
  return (await commandLine(env)('doctor', '--json')).printed;
};

describe('On a cluster', () => {
  it('namespace and search attributes are made by the commands that doctor prints', async () => {
    const create = 'temporal operator namespace create --namespace own --address';
    expect(await doctorOf('own')).toContain(create);
    await cluster.temporal('operator', 'namespace', 'create', '--namespace', 'own');
    const register = registerCommand('own');
    expect(await doctorOf('own')).toContain(register);
    await cluster.temporal(...register.split(' ').slice(1));
    expect(await doctorOf('own')).toContain('search attributes are registered');
  });

  it('doctor does not take it for a development server', async () => {
    const told = await doctorOf(NAMESPACE);
    expect(told).toContain('search attributes are registered');
    expect(told).not.toContain('dev server');
  });

  it('operations start in a namespace without search attributes, on both servers', async () => {
    const namespace = 'bare';
    await cluster.temporal('operator', 'namespace', 'create', '--namespace', namespace);
    const { address, stateDir } = cluster;
    const options = { address, namespace, host: HOST, stateDir };
    // The balancer gives each connection to another server.
    const clients = await Promise.all(Array.from({ length: 6 }, () => connectBlockflow(options)));
    try {
      const started = await Promise.all(
        clients.map((blockflow, i) => blockflow.merge({ vm: `web${i}`, disk: 'vda' })),
      );
      expect(started.map(({ id }) => id)).toEqual(clients.map((_, i) => `web${i}/vda`));
      const listed = await cluster.temporal(
        ...['operator', 'search-attribute', 'list', '--namespace', namespace],
      );
      for (const { name } of Object.values(searchAttributes)) expect(listed).toContain(name);
    } finally {
      await Promise.all(clients.map((blockflow) => blockflow.close()));
    }
  });
});
