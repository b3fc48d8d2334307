import { Option, type Command } from 'commander';
import type { RevertRequest } from '../../../library/requests.ts';
import type { Screen } from '../../screen.ts';
import { followStarted } from '../started.ts';
import { HOST_OPTION, JSON_OPTION, printJson, withBlockflow, type Context } from '../command.ts';

interface Options {
  undo?: true;
  start?: true;
  keep?: string;
  dropMemory?: true;
  dryRun?: true;
  detach?: true;
  json?: true;
  host?: string;
}

/** Adds `revert` to the command `snapshot`. */
export function defineSnapshotRevert(snapshot: Command, context: Context): void {
  snapshot
    .command('revert')
    .summary('take the disks of a VM back to a snapshot, VM down; or undo that')
    .description(
      'Gives all disks of a VM that is down new overlays on the layers of a snapshot, by one ' +
        'change of its record. What they had is kept for a while, and --undo brings it back as ' +
        'long as the layers below are unchanged.',
    )
    .argument('<VM>', 'as `virsh list --all` names it')
    .argument('[NAME]', 'of the snapshot, as `blockflow snapshot list` shows it')
    .addOption(new Option('--undo', 'bring back what the last revert has discarded'))
    .option('--start', 'start the VM at the end')
    .option('--keep <duration>', 'how long what is discarded is kept: 90s, 30m, 36h (default: 7d)')
    .option('--drop-memory', 'of a snapshot with memory take the disks alone')
    .option('--dry-run', 'print what would happen, touch nothing')
    .option('--detach', 'start and return at once')
    .option(...HOST_OPTION)
    .option(...JSON_OPTION)
    .addHelpText('after', MORE)
    .action((vm: string, name: string | undefined, options: Options) =>
      context.run(() => revert(context.screen, [vm, name], options)),
    );
}

const MORE = `
Exit codes: 0 done or already done, 2 usage, 3 refused (nothing was done), 4 failed, 5 cancelled.`;

async function revert(
  screen: Screen,
  [vm, name]: [string, string | undefined],
  options: Options,
): Promise<number> {
  const request = await requestOf([vm, name], options);
  return withBlockflow(options, async (blockflow) => {
    if (!options.dryRun) {
      return followStarted(screen, await blockflow.revertSnapshot(request), options);
    }
    const outcome = await blockflow.planRevert(request);
    const { revertPlanLines } = await import('../../render/revert-plan.ts');
    if (options.json) printJson(screen, { outcome: 'planned', ...outcome, exitCode: 0 });
    else for (const line of revertPlanLines(outcome)) screen.print(line);
    return 0;
  });
}

async function requestOf(
  [vm, name]: [string, string | undefined],
  { undo, start, keep, dropMemory, host }: Options,
): Promise<RevertRequest> {
  const { parseDuration } = await import('../../arguments/duration.ts');
  return {
    ...{ vm, name: name ?? null, undo: undo === true },
    ...{ start: start === true, dropMemory: dropMemory === true },
    ...(keep === undefined ? {} : { keepSeconds: parseDuration(keep) }),
    ...(host === undefined ? {} : { host }),
  };
}
