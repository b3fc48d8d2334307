import { Option, type Command } from 'commander';
import type { Blockflow } from '../../library/connect-blockflow.ts';
import type { MergeRequest } from '../../library/requests.ts';
import type { Screen } from '../screen.ts';
import { followStarted } from './started.ts';
import {
  CONVERGE_OPTION,
  HOST_OPTION,
  JSON_OPTION,
  MAX_PAUSE_OPTION,
  printJson,
  withBlockflow,
  type Context,
} from './command.ts';

interface Options {
  top?: string;
  base?: string;
  shallow?: true;
  snapshot?: string;
  bandwidth?: string;
  keepOverlay?: true;
  keepRelative?: true;
  keepVolumes?: true;
  ifBusy: 'wait' | 'refuse';
  onVmStop: 'fail' | 'continue';
  waitForDecision?: true;
  converge?: true;
  maxPause?: string;
  dryRun?: true;
  detach?: true;
  json?: true;
  host?: string;
}

export function defineMerge(program: Command, context: Context): void {
  program
    .command('merge')
    .summary('commit a snapshot into its base and delete its volume')
    .description(
      'Commits the volumes from top down into base, takes them out of the chain, proves it, and ' +
        'deletes them; while the VM runs or while it is down. Names and defaults are those ' +
        'of `virsh blockcommit`.',
    )
    .argument('<VM>', 'as `virsh list --all` names it; VM/DISK names the disk too')
    .argument('[DISK]', 'target such as vda')
    .option(
      '--top <volume>',
      'path, name in its pool, or index such as vda[2] (default: active layer)',
    )
    .option('--base <volume>', 'likewise (default: the bottom of the chain)')
    .addOption(new Option('--shallow', 'base is the next volume below top').conflicts('base'))
    .addOption(
      new Option(
        '--snapshot <name>',
        'delete the layer of this external snapshot of libvirt',
      ).conflicts(['top', 'base', 'shallow']),
    )
    .option('--bandwidth <rate>', 'limit: MiB/s, or with a unit (512K, 200M, 1G)')
    .option(
      '--keep-overlay',
      'at READY end the job without a pivot: base is complete, the chain stays',
    )
    .option('--keep-relative', 'keep relative backing file names')
    .option('--keep-volumes', 'do not delete the committed volumes')
    .addOption(
      new Option('--if-busy <action>', 'when a foreign job runs on the disk')
        .choices(['wait', 'refuse'])
        .default('refuse'),
    )
    .addOption(
      new Option('--on-vm-stop <action>', 'when the VM stops during the commit')
        .choices(['fail', 'continue'])
        .default('fail'),
    )
    .option(...CONVERGE_OPTION)
    .option(...MAX_PAUSE_OPTION)
    .option('--wait-for-decision', 'stop at READY until `blockflow decide VM DISK pivot|keep`')
    .option('--dry-run', 'print what would happen, touch nothing')
    .option('--detach', 'start and return at once')
    .option(...HOST_OPTION)
    .option(...JSON_OPTION)
    .addHelpText('after', MORE)
    .action((vm: string, disk: string | undefined, options: Options) =>
      context.run(() => merge(context.screen, [vm, disk], options)),
    );
}

const MORE = `
The merge runs in the orchestrator: closing the terminal or ^C (exit code 130) does not end it.
The same command again follows it; \`blockflow cancel VM DISK\` ends it.

Exit codes: 0 done or already done, 2 usage, 3 refused (nothing was done), 4 failed, 5 cancelled.`;

async function merge(
  screen: Screen,
  [vm, disk]: [string, string | undefined],
  options: Options,
): Promise<number> {
  const request = await requestOf(vm, disk, options);
  return withBlockflow(options, async (blockflow) => {
    if (options.dryRun) return dryRun(screen, blockflow, request, options);
    return followStarted(screen, await blockflow.merge(request), options);
  });
}

async function requestOf(first: string, second: string | undefined, options: Options) {
  const { parseDisk } = await import('../arguments/disk-argument.ts');
  const { parseRate } = await import('../arguments/rate.ts');
  const { parsePause } = await import('../arguments/duration.ts');
  const { bandwidth, maxPause, dryRun, detach, json, ...request } = options;
  const limit = bandwidth === undefined ? {} : { bandwidthBytesPerSecond: parseRate(bandwidth) };
  const pause = maxPause === undefined ? {} : { maxPauseMs: parsePause(maxPause) };
  return { ...parseDisk(first, second), ...request, ...limit, ...pause } satisfies MergeRequest;
}

async function dryRun(
  screen: Screen,
  blockflow: Blockflow,
  request: MergeRequest,
  options: Options,
): Promise<number> {
  const outcome = await blockflow.plan(request);
  const { planLines } = await import('../render/merge-plan.ts');
  if (options.json) printJson(screen, { outcome: 'planned', ...outcome, exitCode: 0 });
  else for (const line of planLines(outcome, options.keepOverlay ?? false)) screen.print(line);
  return 0;
}
