import type { Command } from 'commander';
import { exitCodes } from '../../../library/failure.ts';
import type { Check } from '../../../../worker/doctor/check.ts';
import type { Screen } from '../../screen.ts';
import { HOST_OPTION, JSON_OPTION, printJson, type Context } from '../command.ts';
import { CONNECT_OPTION } from './worker.ts';

interface Options {
  connect?: string;
  host?: string;
  fix?: true;
  json?: true;
}

export function defineDoctor(program: Command, context: Context): void {
  program
    .command('doctor')
    .summary('check libvirt, storage, rights, tools, Temporal and agents')
    .description(
      'Checks everything that an operation on this machine needs, and suggests a fix for ' +
        'what fails. Changes nothing without --fix. Exit code 4 when something fails.',
    )
    .option('--fix', 'make the missing storage pools, as `pool add` does, then check again')
    .option(...CONNECT_OPTION)
    .option(...HOST_OPTION)
    .option(...JSON_OPTION)
    .action((options: Options) => context.run(() => doctor(context.screen, options)));
}

async function doctor(screen: Screen, options: Options): Promise<number> {
  const { checkMachine } = await import('../../doctor/check-machine.ts');
  const { checkLibvirt, poolsToServe } = await import('../../../../worker/doctor/check-libvirt.ts');
  const { checkTemporal } = await import('../../doctor/check-temporal.ts');
  const { stateDir } = await import('../../../../worker/environment/config.ts');
  const uri = await localLibvirt(options);
  const libvirt = () => checkLibvirt(uri, stateDir());
  const found = await libvirt();
  const fixed = options.fix ? await addPools(screen, uri, found) : 0;
  const checks = [
    ...(await checkMachine()),
    ...(fixed > 0 ? await libvirt() : found),
    ...(await checkTemporal(options.host, await poolsToServe(uri))),
  ];
  const failed = checks.filter(({ state }) => state === 'fails').length;
  const exitCode = failed > 0 ? exitCodes.failed : exitCodes.done;
  if (options.json) printJson(screen, { outcome: failed ? 'failed' : 'done', checks, exitCode });
  else show(screen, checks, failed);
  return exitCode;
}

/** The libvirt of this machine that is meant. */
export async function localLibvirt({ connect }: Pick<Options, 'connect'>): Promise<string> {
  const { defaultLibvirtUri, stateDir } = await import('../../../../worker/environment/config.ts');
  const { readUpFile } = await import('../../../../worker/environment/up-file.ts');
  return connect ?? readUpFile(stateDir())?.libvirtUri ?? defaultLibvirtUri();
}

/** @returns how many were added; of one that could not be, the check tells again */
async function addPools(screen: Screen, uri: string, checks: readonly Check[]): Promise<number> {
  const { addPool, PoolNotAdded } = await import('../../../../worker/doctor/add-pool.ts');
  const { addedWords } = await import('./pool.ts');
  let count = 0;
  for (const { poolFolder } of checks) {
    if (poolFolder === undefined) continue;
    try {
      screen.tell(addedWords(await addPool(uri, poolFolder)));
      count += 1;
    } catch (error) {
      if (!(error instanceof PoolNotAdded)) throw error;
      screen.tell(`No pool of ${poolFolder}: ${error.message}. ${error.next}.`);
    }
  }
  return count;
}

function show(screen: Screen, checks: readonly Check[], failed: number): void {
  const marks = {
    ok: screen.paint('green', 'ok   '),
    hint: screen.paint('yellow', 'hint '),
    fails: screen.paint('red', 'FAILS'),
  };
  for (const { area, state, found, fix } of checks) {
    screen.print(`${marks[state]}  ${area.padEnd(8)}  ${found}`);
    if (fix !== null) screen.print(`                 ${screen.paint('bold', '→')} ${fix}`);
  }
  screen.print('');
  screen.print(failed === 0 ? 'All is well.' : `${failed} check(s) fail.`);
}
