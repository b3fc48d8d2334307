import type { Command } from 'commander';
import { BlockflowError } from '../../../library/failure.ts';
import type { Screen } from '../../screen.ts';
import type { Context } from '../command.ts';

export function defineUi(program: Command, context: Context): void {
  program
    .command('ui')
    .summary('print a link to the Web UI of `blockflow up`')
    .description(
      'Prints a link that lets one browser into the Web UI of `blockflow up`. It works once, ' +
        'within five minutes; the browser stays inside for twelve hours, but not after a restart ' +
        'of the server. From another machine, forward the port first: ' +
        '`ssh -L 8233:127.0.0.1:8233 HOST`.',
    )
    .action(() => context.run(() => printLink(context.screen)));
}

async function printLink(screen: Screen): Promise<number> {
  const { stateDir } = await import('../../../../worker/environment/config.ts');
  const { readUpFile } = await import('../../../../worker/environment/up-file.ts');
  const { makeUiLink } = await import('../../../../worker/up/ui-pass.ts');
  const uiUrl = readUpFile(stateDir())?.temporal?.uiUrl;
  if (uiUrl === undefined) throw noWebUi(stateDir());
  screen.print(await makeUiLink(stateDir(), uiUrl));
  return 0;
}

function noWebUi(folder: string): BlockflowError {
  return new BlockflowError('Refused', {
    code: 'no-web-ui',
    attempted: 'making a link to the Web UI',
    now: `no \`blockflow up\` with a Temporal server of its own runs for ${folder}`,
    next:
      'Start `blockflow up`, or run this command as its user; the Web UI of another server is ' +
      'where its administrator has it',
  });
}
