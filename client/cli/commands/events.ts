import type { Command } from 'commander';
import type { AuditEvent } from '../../../workflows/operation/audit.ts';
import type { Screen } from '../screen.ts';
import { JSON_OPTION, printJson, withBlockflow, type Context } from './command.ts';

interface Options {
  n: string;
  json?: true;
}

export function defineEvents(program: Command, context: Context): void {
  program
    .command('events')
    .summary('the audit log: who, what, before, after, reason')
    .description('Shows the newest events of the audit log, oldest first.')
    .argument('[VM]', 'only of this VM or pool, or of this VM/DISK or POOL/VOLUME')
    .argument('[DISK]')
    .option('-n <count>', 'at most so many', '20')
    .option(...JSON_OPTION)
    .action((vm: string | undefined, disk: string | undefined, options: Options) =>
      context.run(() => showEvents(context.screen, vm, disk, options)),
    );
}

async function showEvents(
  screen: Screen,
  first: string | undefined,
  second: string | undefined,
  options: Options,
): Promise<number> {
  const { parseSubject } = await import('../arguments/image-argument.ts');
  const { parseCount } = await import('../arguments/count.ts');
  const named = first === undefined ? {} : parseSubject(first, second);
  const limit = parseCount(options.n);
  return withBlockflow({}, async (blockflow) => {
    const events = await blockflow.events({ ...named, limit });
    const { eventLines } = await import('../render/event-lines.ts');
    const linesOf = (all: AuditEvent[]) => all.flatMap((event) => eventLines(event, screen.paint));
    if (options.json) printJson(screen, { events, exitCode: 0 });
    else if (events.length === 0) screen.print('No events.');
    else for (const line of linesOf(events)) screen.print(line);
    return 0;
  });
}
