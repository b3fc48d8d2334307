import type { Command } from 'commander';
import type { Screen } from '../../screen.ts';
import { HOST_OPTION, JSON_OPTION, printJson, withBlockflow, type Context } from '../command.ts';

interface Options {
  json?: true;
  host?: string;
}

/** Adds `list` to the command `snapshot`. */
export function defineSnapshotList(snapshot: Command, context: Context): void {
  snapshot
    .command('list')
    .summary('the snapshots of a VM as a tree, and what is wrong with them')
    .description(
      'Shows time, kind, size on disk and disks of each snapshot that libvirt lists, and on ' +
        'which one the VM runs; records whose files are gone, deletions that are not complete, ' +
        'layers of no snapshot, and snapshots inside of images that libvirt does not list.',
    )
    .argument('<VM>', 'as `virsh list --all` names it')
    .option(...HOST_OPTION)
    .option(...JSON_OPTION)
    .action((vm: string, options: Options) =>
      context.run(() => listSnapshots(context.screen, vm, options)),
    );
}

async function listSnapshots(screen: Screen, vm: string, options: Options): Promise<number> {
  return withBlockflow(options, async (blockflow) => {
    const tree = await blockflow.snapshots(vm);
    const { snapshotLines } = await import('../../render/snapshot-tree.ts');
    if (options.json) printJson(screen, { ...tree, exitCode: 0 });
    else for (const line of snapshotLines(tree, screen.paint)) screen.print(line);
    return 0;
  });
}
