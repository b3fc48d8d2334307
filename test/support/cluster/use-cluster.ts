/** A whole system on a cluster, for the tests of a file. */
import type { System } from '../host/system.ts';
import { startSharedSystem } from '../scenes/merge-scene.ts';
import { use } from '../use.ts';
import { startCluster, type Cluster } from './cluster.ts';

export interface OnCluster extends System {
  cluster: Cluster;
}

/** What a test has killed runs again in the next one. */
export const useCluster = (): OnCluster =>
  use('the system', startOnCluster, async ({ cluster, revive }) => {
    await cluster.revive();
    await revive();
  });

async function startOnCluster(): Promise<OnCluster> {
  let cluster: Cluster | undefined;
  const startTemporal = async (stateDir: string) => (cluster = await startCluster(stateDir));
  const system = await startSharedSystem({ name: 'cluster', startTemporal });
  return Object.assign(system, { cluster: cluster as Cluster });
}
