import type { Command } from 'commander';
import type { Change } from '../../../../worker/doctor/limits.ts';
import { usage } from '../../../library/failure.ts';
import { parseCount } from '../../arguments/count.ts';
import { JSON_OPTION, printJson, type Context } from '../command.ts';

interface Options {
  pool?: string;
  json?: true;
}

export function defineLimit(program: Command, context: Context): void {
  program
    .command('limit')
    .summary('how many copies and merges run at once')
    .description(
      'Shows or sets how many copies (of moves, too) and merges the host agent ' +
        'of this machine begins at once. Others wait for their turn, in the order in which they ' +
        'were started, and `status` says how many are before them. What runs is not stopped. ' +
        'The agent must have the same state folder.',
    )
    .argument('[KIND]', 'copies or merges')
    .argument('[COUNT]', '1 to 1000; 0 for no limit')
    .option('--pool <name>', 'copies into this pool, besides the limit of the host')
    .option(...JSON_OPTION)
    .action((kind: string | undefined, count: string | undefined, options: Options) =>
      context.run(async () => {
        const { changeLimits } = await import('../../../../worker/doctor/limits.ts');
        const { screen } = context;
        const limits = await changeLimits(changeOf(kind, count, options));
        if (options.json) printJson(screen, { ...limits, exitCode: 0 });
        else {
          const said = (n: number) => (n === 0 ? 'no limit' : `${n} at once`);
          screen.print(`copies: ${said(limits.copies)}`);
          for (const [pool, n] of Object.entries(limits.pools)) {
            screen.print(`copies into pool ${pool}: ${said(n)}`);
          }
          screen.print(`merges: ${said(limits.merges)}`);
        }
        return 0;
      }),
    );
}

/** @throws BlockflowError Usage */
function changeOf(kind?: string, count?: string, { pool }: Options = {}): Change | null {
  const refuse = (now: string, next: string) => usage('reading the limit', now, next);
  if (kind === undefined) {
    if (pool === undefined) return null;
    throw refuse('--pool alone says no limit', 'Give `copies COUNT --pool NAME`');
  }
  if (kind !== 'copies' && kind !== 'merges') {
    throw refuse(`${JSON.stringify(kind)} is no kind of work`, 'Give copies or merges');
  }
  if (count === undefined) throw refuse('no count is given', 'Give 0 to 1000');
  if (pool !== undefined && kind !== 'copies') {
    throw refuse('a merge is in one pool', 'Leave --pool out, or limit copies');
  }
  const number = count === '0' ? 0 : parseCount(count);
  return { of: pool === undefined ? kind : { pool }, count: number };
}
