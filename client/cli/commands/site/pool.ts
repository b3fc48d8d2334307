import type { Command } from 'commander';
import type { AddedPool } from '../../../../worker/doctor/add-pool.ts';
import { BlockflowError } from '../../../library/failure.ts';
import type { Screen } from '../../screen.ts';
import { JSON_OPTION, printJson, type Context } from '../command.ts';
import { localLibvirt } from './doctor.ts';
import { CONNECT_OPTION } from './worker.ts';

interface Options {
  connect?: string;
  name?: string;
  json?: true;
}

export function definePool(program: Command, context: Context): void {
  const pool = program
    .command('pool')
    .summary('storage pools of this machine')
    .description(
      'Images are merged, moved and deleted in the folders of storage pools of libvirt only.',
    );
  pool
    .command('add')
    .summary('make the storage pool of a folder')
    .description(
      'Defines a libvirt pool of type `dir` for a folder of this machine, starts it, and lets ' +
        'libvirt start it at boot. A pool that the folder has is started. No file is changed.',
    )
    .argument('<FOLDER>', 'where images are')
    .option('--name <name>', 'name of the pool (default: that of the folder)')
    .option(...CONNECT_OPTION)
    .option(...JSON_OPTION)
    .action((folder: string, options: Options) =>
      context.run(() => addOne(context.screen, folder, options)),
    );
}

async function addOne(screen: Screen, folder: string, options: Options): Promise<number> {
  const path = await import('node:path');
  const { addPool, PoolNotAdded } = await import('../../../../worker/doctor/add-pool.ts');
  const adding = addPool(await localLibvirt(options), path.resolve(folder), options.name ?? null);
  const added = await adding.catch((error: unknown) => {
    if (!(error instanceof PoolNotAdded)) throw error;
    const { code, message: now, next } = error;
    const type = code === 'command-failed' ? 'Retry' : 'Refused';
    throw new BlockflowError(type, { code, attempted: `adding a pool of ${folder}`, now, next });
  });
  if (options.json) printJson(screen, { ...added, exitCode: 0 });
  else screen.print(addedWords(added));
  return 0;
}

export const addedWords = ({ pool, folder, outcome }: AddedPool): string =>
  ({
    added: `Done: pool ${pool} of ${folder} is defined, started, and starts at boot.`,
    started: `Done: pool ${pool} of ${folder} is started.`,
    'already-done': `Pool ${pool} of ${folder} is active already.`,
  })[outcome];
