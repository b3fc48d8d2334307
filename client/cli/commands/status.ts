import type { Command } from 'commander';
import type { Blockflow } from '../../library/connect-blockflow.ts';
import type { OperationResult } from '../../../workflows/kinds.ts';
import type { Operation } from '../../library/operation.ts';
import { followToEnd } from './started.ts';
import type { Screen } from '../screen.ts';
import { HOST_OPTION, JSON_OPTION, printJson, withBlockflow, type Context } from './command.ts';

interface Options {
  follow?: true;
  json?: true;
  host?: string;
}

export function defineStatus(program: Command, context: Context): void {
  program
    .command('status')
    .summary('what an operation is doing, since when, and what a cancel would mean')
    .description(
      'Shows the running operation on a disk or the last one; those of a VM; or all that run. ' +
        'Asks the orchestrator, and where it does not answer tells what the Temporal server knows.',
    )
    .argument('[VM]', 'VM or pool, VM/DISK, POOL/VOLUME, or a name that `list` shows')
    .argument('[DISK]')
    .option('--follow', 'follow the operation to its end; ^C ends only the following')
    .option(...HOST_OPTION)
    .option(...JSON_OPTION)
    .action((vm: string | undefined, disk: string | undefined, options: Options) =>
      context.run(() => status(context.screen, vm, disk, options)),
    );
}

async function status(
  screen: Screen,
  first: string | undefined,
  second: string | undefined,
  options: Options,
): Promise<number> {
  const { parseOperation } = await import('../arguments/image-argument.ts');
  const named = first === undefined ? {} : parseOperation(first, second);
  return withBlockflow(options, async (blockflow) => {
    if (options.follow) {
      const { vm, disk } = parseOperation(first ?? '', second);
      return followToEnd(screen, await blockflow.operation(vm, disk), options);
    }
    const operations = await find(blockflow, named);
    const views = await Promise.all(operations.map((operation) => operation.status()));
    if (options.json) {
      printJson(screen, { operations: views, exitCode: 0 });
    } else if (views.length === 0) {
      screen.print(first ? `No operation runs on ${first}.` : 'No operation runs.');
    } else {
      const { operationLines } = await import('../render/operation.ts');
      for (const view of views) {
        for (const line of operationLines(view, screen.paint)) screen.print(line);
      }
    }
    return 0;
  });
}

async function find(
  blockflow: Blockflow,
  { vm, disk }: { vm?: string; disk?: string },
): Promise<Operation<OperationResult>[]> {
  if (vm !== undefined && disk !== undefined) return [await blockflow.operation(vm, disk)];
  const listed = await blockflow.list({ ...(vm === undefined ? {} : { vm }), state: 'running' });
  // By its id: what a move left is deleted under another one than the image's own.
  return Promise.all(listed.map((found) => blockflow.operation(...nameOf(found))));
}

/** A whole VM has no disk behind its name. */
const nameOf = ({ vm, id }: { vm: string; id: string }): [vm: string, disk?: string] =>
  id === vm ? [vm] : [vm, id.slice(vm.length + 1)];
