import type { Command } from 'commander';
import type { OperationSummary } from '../../library/list-operations.ts';
import { exitCodes } from '../../library/failure.ts';
import type { Screen } from '../screen.ts';
import { JSON_OPTION, printJson, withBlockflow, type Context } from './command.ts';

interface Options {
  running?: true;
  stuck?: true;
  n: string;
  json?: true;
}

export function defineList(program: Command, context: Context): void {
  program
    .command('list')
    .summary('operations that run and that ran')
    .description(
      'Lists operations, the newest first, as the Web UI does: about a second behind. With ' +
        '--stuck exit code 1 when there is one, 0 when there is none.',
    )
    .argument('[VM]', 'only of this VM or pool, or of this VM/DISK or POOL/VOLUME')
    .argument('[DISK]')
    .option('--running', 'only those that run')
    .option('--stuck', 'only those that need a person: tried for 15 minutes without success')
    .option('-n <count>', 'at most so many', '20')
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nExit codes: 0; with --stuck 1 when there is one, 0 when there is none.',
    )
    .action((vm: string | undefined, disk: string | undefined, options: Options) =>
      context.run(() => list(context.screen, vm, disk, options)),
    );
}

async function list(
  screen: Screen,
  first: string | undefined,
  second: string | undefined,
  options: Options,
): Promise<number> {
  const { parseOperation } = await import('../arguments/image-argument.ts');
  const { parseCount } = await import('../arguments/count.ts');
  const named = first === undefined ? {} : parseOperation(first, second);
  const { running = false, stuck = false } = options;
  const state = running ? { state: 'running' as const } : {};
  const filter = { ...named, ...state, stuck, limit: parseCount(options.n) };
  return withBlockflow({}, async (blockflow) => {
    const operations = await blockflow.list(filter);
    const exitCode = stuck && operations.length > 0 ? exitCodes.stuck : exitCodes.done;
    if (options.json) printJson(screen, { operations, exitCode });
    else await show(screen, operations, stuck ? NONE.stuck : running ? NONE.running : NONE.yet);
    return exitCode;
  });
}

const NONE = {
  stuck: 'No operation is stuck.',
  running: 'No operation runs.',
  yet: 'No operations yet.',
};

async function show(screen: Screen, operations: OperationSummary[], none: string): Promise<void> {
  const { columns } = await import('../render/columns.ts');
  const { durationWords, timeWords } = await import('../../library/times.ts');
  if (operations.length === 0) return screen.print(none);
  const rows = operations.map(({ id, operation, host, state, phase, outcome, ...at }) => [
    id,
    operation,
    host,
    outcome ?? (state === 'running' ? phase || state : state),
    timeWords(at.startedAt),
    durationWords(
      (Date.parse(at.endedAt ?? new Date().toISOString()) - Date.parse(at.startedAt)) / 1000,
    ),
  ]);
  const heading = ['DISK', 'OPERATION', 'HOST', 'STATE', 'STARTED', 'TOOK'];
  const [first, ...lines] = columns([heading, ...rows]);
  screen.print(screen.paint('bold', first ?? ''));
  for (const line of lines) screen.print(line);
}
