/** `blockflow snapshot …`: snapshots of whole VMs. */
import { Option, type Command } from 'commander';
import type { SnapshotRequest } from '../../../library/requests.ts';
import type { Screen } from '../../screen.ts';
import { defineSnapshotDelete } from './delete.ts';
import { defineSnapshotRevert } from './revert.ts';
import { defineSnapshotList } from './list.ts';
import { followStarted } from '../started.ts';
import { HOST_OPTION, JSON_OPTION, printJson, withBlockflow, type Context } from '../command.ts';

interface Options {
  disk: string[];
  exclude: string[];
  quiesce: 'no' | 'try' | 'require';
  internal?: true;
  description?: string;
  dryRun?: true;
  detach?: true;
  json?: true;
  host?: string;
}

export function defineSnapshot(program: Command, context: Context): void {
  const group = program
    .command('snapshot')
    .summary('snapshots of whole VMs: create, list, delete, revert')
    .description('Works on snapshots of whole VMs, on all of their disks.');
  defineCreate(group, context);
  defineSnapshotList(group, context);
  defineSnapshotDelete(group, context);
  defineSnapshotRevert(group, context);
}

const collect = (value: string, before: string[]) => [...before, value];

function defineCreate(group: Command, context: Context): void {
  group
    .command('create')
    .summary('take a snapshot of a VM: all its disks at one moment')
    .description(
      'Lets the disks of a VM write to new overlays from one moment on, while it runs or while ' +
        'it is down. What is below them is the snapshot, which libvirt lists. With --internal it ' +
        'is taken inside of the qcow2 images of a VM that is down.',
    )
    .argument('<VM>', 'as `virsh list --all` names it')
    .argument(
      '[NAME]',
      'of the snapshot, and the end of the names of its overlays (default: the time)',
    )
    .option('--disk <disk>', 'only this one; may be given several times', collect, [])
    .option('--exclude <disk>', 'all but this one; may be given several times', collect, [])
    .addOption(
      new Option('--quiesce <how>', 'let the guest agent freeze the file systems meanwhile')
        .choices(['no', 'try', 'require'])
        .default('no'),
    )
    .option('--internal', 'inside of the images, VM down, all disks qcow2; no overlays are made')
    .option('--description <text>', 'kept with the snapshot')
    .option('--dry-run', 'print what would happen, touch nothing')
    .option('--detach', 'start and return at once')
    .option(...HOST_OPTION)
    .option(...JSON_OPTION)
    .action((vm: string, name: string | undefined, options: Options) =>
      context.run(() => create(context.screen, [vm, name], options)),
    );
}

async function create(
  screen: Screen,
  [vm, name]: [string, string | undefined],
  options: Options,
): Promise<number> {
  const { disk, exclude, quiesce, internal, description, host } = options;
  const request: SnapshotRequest = {
    vm,
    name: name ?? null,
    disks: disk,
    exclude,
    quiesce,
    internal: internal === true,
    ...(description === undefined ? {} : { description }),
    ...(host === undefined ? {} : { host }),
  };
  return withBlockflow(options, async (blockflow) => {
    if (!options.dryRun) {
      return followStarted(screen, await blockflow.createSnapshot(request), options);
    }
    const outcome = await blockflow.planSnapshot(request);
    const { snapshotPlanLines } = await import('../../render/snapshot-plan.ts');
    if (options.json) printJson(screen, { outcome: 'planned', ...outcome, exitCode: 0 });
    else for (const line of snapshotPlanLines(outcome)) screen.print(line);
    return 0;
  });
}
