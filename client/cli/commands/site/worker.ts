import { Argument, type Command } from 'commander';
import type { WorkerConfig } from '../../../../worker/environment/config.ts';
import type { RoleName } from '../../../../worker/roles/start.ts';
import { MetricsRefused } from '../../../../worker/metrics-refused.ts';
import { LacksRights, NEXT_FOR_RIGHTS } from '../../../../worker/roles/rights.ts';
import { BlockflowError, usage } from '../../../library/failure.ts';
import type { Context } from '../command.ts';
import { INSTALL_OPTION, serviceAsked, UNINSTALL_OPTION, type ServiceOptions } from './service.ts';
import { shell } from '../../../../workflows/operation/names.ts';

export interface WorkerOptions {
  connect?: string;
  host?: string;
  pool?: string[];
  metrics?: string;
}

export const CONNECT_OPTION = [
  '--connect <uri>',
  'libvirt of this host (default: LIBVIRT_DEFAULT_URI or qemu:///system)',
] as const;
export const OWN_HOST_OPTION = [
  '--host <name>',
  "name of this host's agent (default: BLOCKFLOW_HOST or the host name)",
] as const;
export const METRICS_OPTION = [
  '--metrics <address>',
  'serve Prometheus metrics there, for example 127.0.0.1:9464',
] as const;

export function defineWorker(program: Command, context: Context): void {
  program
    .command('worker')
    .summary('run one role of blockflow: orchestrator, host agent or SPM agent')
    .description(
      'Runs one role until SIGTERM. Temporal is found by the standard environment configuration ' +
        '(TEMPORAL_ADDRESS, profiles, TLS). SIGKILL loses nothing: what runs goes on at the ' +
        'next start.',
    )
    .addArgument(new Argument('<role>').choices(['orchestrator', 'host', 'spm']))
    .option(...CONNECT_OPTION)
    .option(...OWN_HOST_OPTION)
    .option('--pool <name...>', 'pools that this SPM agent serves (default: all active file pools)')
    .option(...METRICS_OPTION)
    .option(...INSTALL_OPTION)
    .option(...UNINSTALL_OPTION)
    .action((role: RoleName, options: WorkerOptions & ServiceOptions) =>
      context.run(async () => {
        const served = await serviceAsked(context.screen, role, options);
        if (served !== null) return served;
        const config = await configOf(options);
        const { runRole } = await import('../../../../worker/roles/main.ts');
        await runRole(role, config).catch(tellRefusedStart);
        return 0;
      }),
    );
}

/** @throws BlockflowError where a right is missing or an address refused; else the same error */
export function tellRefusedStart(error: unknown): never {
  if (error instanceof LacksRights) {
    const [attempted, now] = ['starting an agent', `${error.message}; nothing was started`];
    const details = { code: 'lacks-rights' as const, attempted, now, next: NEXT_FOR_RIGHTS };
    throw new BlockflowError('Refused', details, error);
  }
  if (!(error instanceof MetricsRefused)) throw error;
  const { address, reason } = error;
  const port = address.slice(address.lastIndexOf(':') + 1);
  const details = {
    code: 'metrics-address' as const,
    attempted: `serving metrics on ${address}`,
    now: `the system refuses the address: ${reason}; nothing was started`,
    next:
      `Give another --metrics address; ${shell`ss -ltnp sport = :${port}`} says who ` +
      'listens there',
  };
  throw new BlockflowError('Refused', details, error);
}

/** @throws BlockflowError Usage */
export async function configOf(options: WorkerOptions): Promise<WorkerConfig> {
  const { workerConfig } = await import('../../../../worker/environment/config.ts');
  const parsed = workerConfig.safeParse({
    host: options.host,
    libvirtUri: options.connect,
    pools: options.pool,
    metricsAddress: options.metrics,
  });
  if (parsed.success) return parsed.data;
  const now = parsed.error.issues.map((i) => `${i.path.join('.')} ${i.message}`).join('; ');
  throw usage('starting a worker', now, 'See `blockflow worker --help`');
}
