/**
 * A second host beside that of a system: a libvirt with VMs of its own, agents of its own, and the
 * same Temporal and pools.
 */
import { join } from 'node:path';
import type { WorkerConfig } from '../../../worker/environment/config.ts';
import type { RoleName } from '../../../worker/roles/start.ts';
import { BUNDLES } from './host-folder.ts';
import { startPrivateHost, type PrivateHost } from './private-host.ts';
import { runRoles, type RunningRoles } from './roles/running-roles.ts';
import type { System } from './system.ts';

export const SECOND = 'h2';

export interface SecondHost extends RunningRoles {
  host: PrivateHost;
  /** The effects of its agents alone. */
  trace: string;
  close(): Promise<void>;
}

/** @param pools names of the system's pools, which are at the same paths here */
export async function startSecondHost(
  system: System,
  pools: readonly string[],
  options: { roles?: readonly RoleName[]; config?: Partial<WorkerConfig> } = {},
): Promise<SecondHost> {
  const host = await startPrivateHost({ name: SECOND });
  const { root, uri: libvirtUri } = host;
  const trace = join(root, 'effects');
  const own = { host: SECOND, libvirtUri, stateDir: join(root, 'state'), cacheDir: BUNDLES };
  const config = { ...own, runtimeDir: join(root, 'runtime'), ...options.config };
  const env = () => ({
    TEMPORAL_ADDRESS: system.temporal.address,
    TEMPORAL_NAMESPACE: system.namespace,
  });
  const roles = runRoles({ root, config, trace, env });
  for (const name of pools) await host.definePool(name, join(system.host.pools, name));
  await Promise.all((options.roles ?? ['host', 'spm']).map((name) => roles.startRole(name)));
  return {
    ...roles,
    host,
    trace,
    async close() {
      await roles.killRoles();
      await host.close();
    },
  };
}
