import { Option, type Command } from 'commander';
import type { DeletionRequest } from '../../../library/requests.ts';
import type { Screen } from '../../screen.ts';
import { followStarted } from '../started.ts';
import { HOST_OPTION, JSON_OPTION, printJson, withBlockflow, type Context } from '../command.ts';

interface Options {
  children?: true;
  childrenOnly?: true;
  disk?: string;
  format?: 'qcow2' | 'raw';
  id?: string;
  bandwidth?: string;
  atOnce?: string;
  dryRun?: true;
  detach?: true;
  json?: true;
  host?: string;
}

/** Adds `delete` to the command `snapshot`. */
export function defineSnapshotDelete(snapshot: Command, context: Context): void {
  snapshot
    .command('delete')
    .summary('take a snapshot out of all disks, and forget it')
    .description(
      'Merges the layer of an external snapshot down on each disk, deletes it, and takes the ' +
        "snapshot off libvirt's list when all disks are merged; while the VM runs or while it is " +
        'down. A disk that is refused refuses the whole before the first one is merged. Later a ' +
        'disk that fails stops no other one, and the same command goes on with the rest. A ' +
        'snapshot inside of qcow2 images (an internal one) is deleted in each image, also when ' +
        'libvirt does not list it.',
    )
    .argument('<VM>', 'as `virsh list --all` names it')
    .argument('<NAME>', 'as `blockflow snapshot list` shows it')
    .option('--children', 'with all snapshots that were taken on it, leaves first')
    .addOption(
      new Option('--children-only', 'only those that were taken on it').conflicts('children'),
    )
    .option('--disk <disk>', 'only the one inside of an image of this disk, with --format, --id')
    .addOption(new Option('--format <format>', 'format of the disk').choices(['qcow2', 'raw']))
    .option('--id <id>', 'its id there, as `blockflow snapshot list` shows it')
    .option('--bandwidth <rate>', 'limit of each merge: MiB/s, or with a unit (512K, 200M, 1G)')
    .option('--at-once <count>', 'disks that are merged at the same time, at most 16 (default: 4)')
    .option('--dry-run', 'print what would happen, touch nothing')
    .option('--detach', 'start and return at once')
    .option(...HOST_OPTION)
    .option(...JSON_OPTION)
    .addHelpText('after', MORE)
    .action((vm: string, name: string, options: Options) =>
      context.run(() => deleteSnapshot(context.screen, vm, name, options)),
    );
}

const MORE = `
Each merge is an operation of its own: \`blockflow status VM/DISK\`. \`blockflow cancel VM\` ends
the merges that can still be ended; disks that are done stay so. While the VM runs, not every
snapshot inside of images can be deleted: then nothing is done, and the reason says what works.

Exit codes: 0 done or already done, 2 usage, 3 refused (nothing was done), 4 failed, 5 cancelled.`;

async function deleteSnapshot(
  screen: Screen,
  vm: string,
  name: string,
  options: Options,
): Promise<number> {
  const request = await requestOf(vm, name, options);
  return withBlockflow(options, async (blockflow) => {
    if (!options.dryRun) {
      return followStarted(screen, await blockflow.deleteSnapshot(request), options);
    }
    const plan = await blockflow.planDeletion(request);
    const { deletionPlanLines } = await import('../../render/deletion-plan.ts');
    if (options.json) printJson(screen, { outcome: 'planned', ...plan, exitCode: 0 });
    else for (const line of deletionPlanLines(plan)) screen.print(line);
    return 0;
  });
}

async function requestOf(vm: string, name: string, options: Options): Promise<DeletionRequest> {
  const { parseRate } = await import('../../arguments/rate.ts');
  const { parseCount } = await import('../../arguments/count.ts');
  const { parseHandle } = await import('../../arguments/handle.ts');
  const { children, childrenOnly, bandwidth, atOnce, host } = options;
  const only = parseHandle(name, options);
  return {
    vm,
    name,
    scope: children ? 'children' : childrenOnly ? 'children-only' : 'snapshot',
    only,
    ...(bandwidth === undefined ? {} : { bandwidthBytesPerSecond: parseRate(bandwidth) }),
    ...(atOnce === undefined ? {} : { atOnce: parseCount(atOnce) }),
    ...(host === undefined ? {} : { host }),
  };
}
