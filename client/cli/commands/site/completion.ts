import { Argument, type Command } from 'commander';
import type { Context } from '../command.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

export function defineCompletion(program: Command, context: Context): void {
  program
    .command('completion')
    .summary('print a completion script for a shell')
    .description(
      'Prints a completion script. bash: `source <(blockflow completion bash)` in ~/.bashrc. ' +
        'zsh: `blockflow completion zsh > "${fpath[1]}/_blockflow"`. ' +
        'fish: `blockflow completion fish > ~/.config/fish/completions/blockflow.fish`.',
    )
    .addArgument(new Argument('<shell>').choices([...SHELLS]))
    .action((shell: (typeof SHELLS)[number]) =>
      context.run(async () => {
        const { completionScript } = await import('../../completion-script.ts');
        context.screen.print(completionScript(program, shell));
        return 0;
      }),
    );
}
