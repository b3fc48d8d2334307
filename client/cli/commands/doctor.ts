import type { Command } from 'commander';
import { exitCodes } from '../../library/failure.ts';
import type { Check } from '../../../worker/doctor/check.ts';
import type { Screen } from '../screen.ts';
import { HOST_OPTION, JSON_OPTION, printJson, type Context } from './command.ts';
import { CONNECT_OPTION } from './worker.ts';

interface Options {
  connect?: string;
  host?: string;
  json?: true;
}

export function defineDoctor(program: Command, context: Context): void {
  program
    .command('doctor')
    .summary('check libvirt, storage, rights, tools, Temporal and agents')
    .description(
      'Checks everything that an operation on this machine needs, and suggests a fix for ' +
        'what fails. Changes nothing. Exit code 4 when something fails.',
    )
    .option(...CONNECT_OPTION)
    .option(...HOST_OPTION)
    .option(...JSON_OPTION)
    .action((options: Options) => context.run(() => doctor(context.screen, options)));
}

async function doctor(screen: Screen, options: Options): Promise<number> {
  const { checkMachine } = await import('../doctor/check-machine.ts');
  const { checkLibvirt, poolsToServe } = await import('../../../worker/doctor/check-libvirt.ts');
  const { checkTemporal } = await import('../doctor/check-temporal.ts');
  const { defaultLibvirtUri, stateDir } = await import('../../../worker/environment/config.ts');
  const { readUpFile } = await import('../../../worker/environment/up-file.ts');
  const uri = options.connect ?? readUpFile(stateDir())?.libvirtUri ?? defaultLibvirtUri();
  const checks = [
    ...(await checkMachine()),
    ...(await checkLibvirt(uri, stateDir())),
    ...(await checkTemporal(options.host, await poolsToServe(uri))),
  ];
  const failed = checks.filter(({ state }) => state === 'fails').length;
  const exitCode = failed > 0 ? exitCodes.failed : exitCodes.done;
  if (options.json) printJson(screen, { outcome: failed ? 'failed' : 'done', checks, exitCode });
  else show(screen, checks, failed);
  return exitCode;
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
