import type { Command } from 'commander';
import type { AuditEvent } from '../../../workflows/operation/audit/audit.ts';
import type { Screen } from '../screen.ts';
import { exitCodes, usage } from '../../library/failure.ts';
import { JSON_OPTION, printJson, withBlockflow, type Context } from './command.ts';

interface Options {
  n: string;
  verify?: true;
  json?: true;
}

export function defineEvents(program: Command, context: Context): void {
  program
    .command('events')
    .summary('the audit log: who, what, before, after, reason')
    .description(
      'Shows the newest events of the audit log, oldest first. With --verify it reads the files ' +
        'of the log itself, on the machine of the orchestrator, and proves by their chain of ' +
        'hashes that none was changed, removed or added by hand.',
    )
    .argument('[VM]', 'only of this VM or pool, or of this VM/DISK or POOL/VOLUME')
    .argument('[DISK]')
    .option('-n <count>', 'at most so many', '20')
    .option('--verify', 'check the chain of hashes instead')
    .option(...JSON_OPTION)
    .action((vm: string | undefined, disk: string | undefined, options: Options, me: Command) =>
      context.run(async () => {
        if (!options.verify) return showEvents(context.screen, vm, disk, options);
        if (vm !== undefined || me.getOptionValueSource('n') === 'cli') throw notInParts();
        return verifyEvents(context.screen, options);
      }),
    );
}

const notInParts = () =>
  usage(
    'verifying the audit log',
    'a chain of hashes is proven as a whole, not for a VM, a disk or a count',
    'Leave VM, DISK and -n out',
  );

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

/** How many faults are shown; `--json` has them all. */
const SHOWN = 20;

async function verifyEvents(screen: Screen, options: Options): Promise<number> {
  const { stateDir } = await import('../../../worker/environment/config.ts');
  const doctor = await import('../../../worker/doctor/verify-events.ts');
  const folder = stateDir();
  const proof = await doctor.verifyEvents(folder);
  const { faults, range, head } = proof;
  const exitCode = faults.length === 0 ? exitCodes.done : exitCodes.failed;
  if (options.json) {
    printJson(screen, { ...proof, exitCode });
    return exitCode;
  }
  if (range === null && faults.length === 0) {
    screen.print(`${folder}/events: no events yet`);
    return exitCode;
  }
  const entries = range ? `entries ${range.first} to ${range.last}` : 'no entries';
  screen.print(`${folder}/events: ${entries}, ${proof.proven} event(s) proven`);
  if (proof.archived > 0) screen.print(`  ${proof.archived} event(s) of months that are put away`);
  if (head !== null) screen.print(`  last hash  ${head}`);
  for (const fault of faults.slice(0, SHOWN)) screen.print(screen.paint('red', `  ${fault}`));
  if (faults.length > SHOWN) screen.print(`  and ${faults.length - SHOWN} more (--json)`);
  return exitCode;
}
