import type { Command } from 'commander';
import { exitCodes } from '../../library/failure.ts';
import type { Screen } from '../screen.ts';
import { HOST_OPTION, JSON_OPTION, printJson, withBlockflow, type Context } from './command.ts';

interface Options {
  json?: true;
  host?: string;
}

export function defineChain(program: Command, context: Context): void {
  program
    .command('chain')
    .summary('the volumes of a disk in four views, and where they disagree')
    .description(
      'Shows what the running domain, the persistent XML, the headers on storage and QEMU itself ' +
        'say. Exit code 4 when they disagree.',
    )
    .argument('<VM>', 'VM, or VM/DISK')
    .argument('[DISK]')
    .option(...HOST_OPTION)
    .option(...JSON_OPTION)
    .action((vm: string, disk: string | undefined, options: Options) =>
      context.run(() => chain(context.screen, vm, disk, options)),
    );
}

async function chain(
  screen: Screen,
  first: string,
  second: string | undefined,
  options: Options,
): Promise<number> {
  const { parseDisk } = await import('../arguments/disk-argument.ts');
  const ref = parseDisk(first, second);
  return withBlockflow(options, async (blockflow) => {
    const observed = await blockflow.chain(ref);
    const { chainLines } = await import('../render/chain-table.ts');
    const exitCode = observed.disagreements.length > 0 ? exitCodes.failed : exitCodes.done;
    if (options.json) printJson(screen, { ...observed, exitCode });
    else for (const line of chainLines(observed, screen.paint)) screen.print(line);
    return exitCode;
  });
}
