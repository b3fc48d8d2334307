import type { Command } from 'commander';
import type { WorkerConfig } from '../../../../worker/environment/config.ts';
import type { NoOwnNetwork } from '../../../../worker/up/guarded-server.ts';
import { BlockflowError, usage } from '../../../library/failure.ts';
import type { Screen } from '../../screen.ts';
import type { Context } from '../command.ts';
import { INSTALL_OPTION, serviceAsked, UNINSTALL_OPTION, type ServiceOptions } from './service.ts';
import {
  configOf,
  CONNECT_OPTION,
  METRICS_OPTION,
  OWN_HOST_OPTION,
  tellRefusedStart,
  type WorkerOptions,
} from './worker.ts';

interface Options extends WorkerOptions, ServiceOptions {
  port?: string;
  uiPort?: string;
  log?: true;
}

export function defineUp(program: Command, context: Context): void {
  program
    .command('up')
    .summary('run everything for one host, with an embedded Temporal server')
    .description(
      'Runs orchestrator, host agent and SPM agent, and a Temporal server of their own whose ' +
        'state is in $XDG_STATE_HOME/blockflow; with TEMPORAL_ADDRESS or a profile, that server ' +
        'instead. Until SIGTERM or ^C.',
    )
    .option(...CONNECT_OPTION)
    .option(...OWN_HOST_OPTION)
    .option('--port <number>', 'port of the Temporal server (default: 7233, or a free one)')
    .option('--ui-port <number>', 'port of its Web UI (default: 8233, or a free one)')
    .option('--log', 'on a terminal, show the whole log and not only what goes wrong')
    .option(...METRICS_OPTION)
    .option(...INSTALL_OPTION)
    .option(...UNINSTALL_OPTION)
    .action((options: Options) => context.run(() => up(context.screen, options)));
}

async function up(screen: Screen, options: Options): Promise<number> {
  const served = await serviceAsked(screen, 'up', options);
  if (served !== null) return served;
  const [port, uiPort] = [portOf(options.port), portOf(options.uiPort)];
  const config = await configOf(options);
  const { AlreadyUp, runUp } = await import('../../../../worker/up/up.ts');
  const { NoOwnNetwork } = await import('../../../../worker/up/guarded-server.ts');
  const ready = (facts: { address: string; uiUrl: string | null; host: string }) => {
    screen.print(`blockflow is up for host ${facts.host} (${config.libvirtUri})`);
    screen.print(`  Temporal  ${facts.address}`);
    if (facts.uiUrl) screen.print('  Web UI    blockflow ui (prints a link for your browser)');
    screen.print('  next      blockflow doctor; blockflow chain VM DISK; blockflow merge VM DISK');
    void tellFailing(screen, config);
  };
  try {
    await runUp({ config, port, uiPort, ready, showLog: options.log });
    return 0;
  } catch (error) {
    if (error instanceof NoOwnNetwork) throw noOwnNetwork(error);
    if (!(error instanceof AlreadyUp)) return tellRefusedStart(error);
    throw new BlockflowError('Refused', {
      code: 'already-up',
      attempted: 'starting `blockflow up`',
      now: error.message,
      next: 'Use that one, end it first, or set BLOCKFLOW_STATE_DIR to another folder',
    });
  }
}

function noOwnNetwork(error: NoOwnNetwork): BlockflowError {
  const { missing, message } = error;
  const why = missing ? `${missing} is not installed` : `the system refuses it: ${message}`;
  const details = {
    code: 'no-own-network' as const,
    attempted: 'starting the Temporal server in a network that only you reach',
    now: `${why}; nothing was started`,
    next: nextFor(missing),
  };
  return new BlockflowError('Refused', details, error);
}

/** What provides a command. */
const PACKAGE = { ip: 'iproute2', unshare: 'util-linux' } as const;

/** By what is in the way: a command that is not there, a container, an ordinary user's rights. */
function nextFor(missing: NoOwnNetwork['missing']): string {
  if (missing) return `Install ${missing} (package ${PACKAGE[missing]}), and start it again`;
  const otherwise = 'or use a server of your own by TEMPORAL_ADDRESS';
  return process.getuid?.() === 0
    ? `Allow CAP_SYS_ADMIN in the container, ${otherwise}`
    : `Run it as root, ${otherwise}`;
}

/** What an operation would stumble over: VMs whose images are in no pool, missing rights. */
async function tellFailing(screen: Screen, config: WorkerConfig): Promise<void> {
  const { checkLibvirt } = await import('../../../../worker/doctor/check-libvirt.ts');
  const checks = await checkLibvirt(config.libvirtUri, config.stateDir).catch(() => []);
  for (const { state, found, fix } of checks) {
    if (state !== 'fails') continue;
    screen.print(`  ${screen.paint('yellow', 'look at')}   ${found}`);
    screen.print(`            ${screen.paint('bold', '→')} ${fix ?? ''}`);
  }
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (/^\d+$/.test(text) && port > 0 && port < 65536) return port;
  throw usage(`reading the port ${text}`, 'it is not a number from 1 to 65535', 'Leave it out');
}
