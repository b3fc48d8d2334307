import type { Command } from 'commander';
import { BlockflowError, exitCodes } from '../../library/failure.ts';
import type { OperationResult } from '../../../workflows/kinds.ts';
import type { Operation } from '../../library/operation.ts';
import type { Screen } from '../screen.ts';
import { JSON_OPTION, printJson, withBlockflow, type Context } from './command.ts';
import { shell } from '../../../workflows/operation/names.ts';

interface Options {
  json?: true;
}

export function defineCancel(program: Command, context: Context): void {
  program
    .command('cancel')
    .summary('end an operation, and tell what is left of it')
    .description(
      'Ends an operation, waits until it is undone, and says what is true then: the chain of ' +
        'a merge is proven unchanged, a workflow that it names deletes the copies of a move. ' +
        'After the point of no return it is refused (exit code 3), and the operation completes.',
    )
    .argument('<VM>', 'VM, or VM/DISK')
    .argument('[DISK]')
    .option(...JSON_OPTION)
    .action((vm: string, disk: string | undefined, options: Options) =>
      context.run(async () => {
        const { parseOperation } = await import('../arguments/image-argument.ts');
        const ref = parseOperation(vm, disk);
        return withBlockflow({}, async (blockflow) =>
          cancel(context.screen, await blockflow.operation(ref.vm, ref.disk), options),
        );
      }),
    );
}

async function cancel(
  screen: Screen,
  operation: Operation<OperationResult>,
  options: Options,
): Promise<number> {
  const { id } = operation;
  const { state, status, troubles } = await operation.status();
  if (state !== 'running') throw tooLate(id, `it is over already (${state})`);
  if (status && !status.cancel.possible) throw tooLate(id, status.cancel.meaning);
  await operation.cancel();
  if (!options.json)
    for (const trouble of troubles) screen.tell(`${id}: ${trouble}; it cancels later`);
  const { followOnScreen, INTERRUPTED } = await import('../follow-on-screen.ts');
  try {
    const result = await followOnScreen(screen, operation, options.json);
    if (!result) return INTERRUPTED;
    throw tooLate(id, `the cancel came too late, the operation completed: ${result.summary}`);
  } catch (error) {
    if (!(error instanceof BlockflowError) || error.type !== 'Cancelled') throw error;
    const { now } = error.details;
    const document = { outcome: 'cancelled', id, now, exitCode: exitCodes.done };
    if (options.json) printJson(screen, document);
    else screen.print(`${id} is ${now}.`);
    return exitCodes.done;
  }
}

const tooLate = (id: string, now: string) =>
  new BlockflowError('Refused', {
    code: 'too-late',
    attempted: `cancelling ${id}`,
    now,
    next: `See ${shell`blockflow status ${id}`}`,
  });
