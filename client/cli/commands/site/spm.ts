import type { Command } from 'commander';
import type { PoolLease } from '../../../../workflows/pools/activities.ts';
import { usage } from '../../../library/failure.ts';
import type { Screen } from '../../screen.ts';
import { HOST_OPTION, JSON_OPTION, printJson, withBlockflow, type Context } from '../command.ts';

interface Options {
  json?: true;
  host?: string;
}

export function defineSpm(program: Command, context: Context): void {
  program
    .command('spm')
    .summary('the SPM of each storage pool: who, since when')
    .description(
      'Shows which agent has the lease of each pool: only it creates and deletes volumes there. ' +
        'The version grows with every holder. Without a holder, operations wait for one.',
    )
    .argument('[POOL]', 'only this pool')
    .option(...HOST_OPTION)
    .option(...JSON_OPTION)
    .action((pool: string | undefined, options: Options) =>
      context.run(() => showSpms(context.screen, pool, options)),
    );
}

async function showSpms(screen: Screen, only: string | undefined, options: Options) {
  return withBlockflow(options, async (blockflow) => {
    const pools = (await blockflow.spm()).filter(({ pool }) => pool === (only ?? pool));
    if (only !== undefined && pools.length === 0) {
      const now = `host ${blockflow.host} has no active pool of this name`;
      throw usage(`showing the SPM of pool ${only}`, now, 'See `virsh pool-list --all`');
    }
    if (options.json) printJson(screen, { pools, exitCode: 0 });
    else await show(screen, pools);
    return 0;
  });
}

async function show(screen: Screen, pools: readonly PoolLease[]): Promise<void> {
  if (pools.length === 0) return screen.print('No active pools.');
  const { columns } = await import('../../render/columns.ts');
  const { timeWords } = await import('../../../library/times.ts');
  const rows = pools.map(({ pool, type, unserved, last }) => [
    pool,
    type,
    last?.isHeld ? last.holder : (unserved ?? `none${last ? `, last ${last.holder}` : ''}`),
    last?.isHeld ? timeWords(last.since) : '-',
    String(last?.version ?? 0),
  ]);
  const [first, ...lines] = columns([['POOL', 'TYPE', 'SPM', 'SINCE', 'VERSION'], ...rows]);
  screen.print(screen.paint('bold', first ?? ''));
  for (const line of lines) screen.print(line);
}
