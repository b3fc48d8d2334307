/** Messages to a running operation: its limit, and the decision between pivot and keep. */
import type { Command } from 'commander';
import { usage } from '../../library/failure.ts';
import type { OperationResult } from '../../../workflows/kinds.ts';
import type { Operation } from '../../library/operation.ts';
import type { Screen } from '../screen.ts';
import { JSON_OPTION, printJson, withBlockflow, type Context } from './command.ts';

interface Options {
  json?: true;
}

export function defineBandwidth(program: Command, context: Context): void {
  program
    .command('bandwidth')
    .summary('change the limit of a running copy')
    .description(
      'Sets the limit of the running copy: MiB/s, or with a unit (512K, 200M, 1G); 0 is none.',
    )
    .argument('<VM>', 'VM, VM/DISK or POOL/VOLUME')
    .argument('<DISK|RATE>')
    .argument('[RATE]')
    .option(...JSON_OPTION)
    .action((...args: [string, string, string | undefined, Options]) =>
      context.run(async () => {
        const { parseRate } = await import('../arguments/rate.ts');
        return steer(context.screen, args, 'rate', (operation, rate) =>
          operation.setBandwidth(parseRate(rate)),
        );
      }),
    );
}

export function defineDecide(program: Command, context: Context): void {
  program
    .command('decide')
    .summary('end the wait of --wait-for-decision: pivot or keep')
    .description(
      'Tells an operation that waits at READY to pivot, or to keep: a merge its overlay, a move ' +
        'its source (the copy of this moment stays too).',
    )
    .argument('<VM>', 'VM, or VM/DISK')
    .argument('<DISK|CHOICE>')
    .argument('[CHOICE]', 'pivot or keep')
    .option(...JSON_OPTION)
    .action((...args: [string, string, string | undefined, Options]) =>
      context.run(() =>
        steer(context.screen, args, 'choice', (operation, choice) => {
          if (choice === 'pivot' || choice === 'keep') return operation.decide(choice);
          throw usage(`deciding ${choice}`, 'that is no choice', 'Say pivot or keep');
        }),
      ),
    );
}

const isTarget = (word: string) => /^(?:fd|hd|sd|ubd|vd|xvd)[a-z]{1,3}$/.test(word);

async function steer(
  screen: Screen,
  [vm, second, third, options]: [string, string, string | undefined, Options],
  what: string,
  send: (operation: Operation<OperationResult>, word: string) => Promise<string>,
): Promise<number> {
  const { parseOperation } = await import('../arguments/image-argument.ts');
  // `VM vda` is a disk without a word, `VM 100M` and `VM pivot` are words to a whole VM.
  if (third === undefined && !vm.includes('/') && isTarget(second)) {
    throw usage(`reading "${vm} ${second}"`, `the ${what} is missing`, `Give VM DISK ${what}`);
  }
  const ref = parseOperation(vm, third === undefined ? undefined : second);
  return withBlockflow({}, async (blockflow) => {
    const operation = await blockflow.operation(ref.vm, ref.disk);
    const answer = await send(operation, third ?? second);
    if (options.json)
      printJson(screen, { outcome: 'accepted', id: operation.id, answer, exitCode: 0 });
    else screen.print(`${operation.id}: ${answer}`);
    return 0;
  });
}
