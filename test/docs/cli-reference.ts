/** The reference of the command line, made of the commands themselves. */
import type { Command, Help } from 'commander';
import { createProgram } from '../../client/cli/run-cli.ts';

export const cliReferencePath = 'docs/reference/cli.md';

const WIDTH = 118;

/** Blanks outside of `code`. */
const BLANKS = /\s+(?=(?:[^`]*`[^`]*`)*[^`]*$)/;

/** Breaks at blanks; further lines are indented. */
function wrap(text: string, indent = ''): string {
  const lines: string[] = [];
  for (const word of text.split(BLANKS)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < WIDTH)
      lines.push(`${lines.pop()} ${word}`);
    else lines.push(last === undefined ? word : `${indent}${word}`);
  }
  return lines.join('\n');
}

const item = (term: string, description: string) =>
  wrap(description === '' ? `- \`${term}\`` : `- \`${term}\`: ${description}`, '  ');

/** What a command adds below its help. */
function afterHelp(command: Command): string {
  let text = '';
  const writeOut = (more: string) => {
    text += more;
  };
  command.configureOutput({ writeOut }).outputHelp();
  return text.slice(command.helpInformation().length).trim();
}

/** As one types it: `blockflow snapshot create`. */
const wordsOf = (command: Command): string =>
  command.parent ? `${wordsOf(command.parent)} ${command.name()}` : command.name();

function section(help: Help, command: Command): string {
  const program = command.parent ? wordsOf(command.parent) : '';
  const name = wordsOf(command).split(' ').slice(1).join(' ');
  const listed = [
    ...command.registeredArguments.map((argument) =>
      item(argument.name(), help.argumentDescription(argument)),
    ),
    ...help
      .visibleOptions(command)
      .filter(({ long }) => long !== '--help')
      .map((option) => item(help.optionTerm(option), help.optionDescription(option))),
  ];
  const after = afterHelp(command);
  return [
    `## ${name}`,
    '',
    wrap(command.description()),
    '',
    `    ${program} ${command.name()} ${command.usage()}`,
    ...(listed.length > 0 ? ['', ...listed] : []),
    ...(after === ''
      ? []
      : [
          '',
          after
            .split(/\n\n+/)
            .map((part) => wrap(part))
            .join('\n\n'),
        ]),
  ].join('\n');
}

export function cliReference(): string {
  const program = createProgram({
    screen: {} as Parameters<typeof createProgram>[0]['screen'],
    run: () => Promise.resolve(),
  });
  const help = program.createHelp();
  const commandsOf = (command: Command): Command[] =>
    help
      .visibleCommands(command)
      .filter((one) => one.name() !== 'help')
      .flatMap((one) => (one.commands.length > 0 ? commandsOf(one) : [one]));
  const commands = commandsOf(program);
  const parts = [
    '# Commands',
    'Written by `npm run docs` from the commands; do not edit.',
    wrap(`${program.description()} ${afterHelp(program)}`),
    commands
      .map((command) => {
        const name = wordsOf(command).split(' ').slice(1).join(' ');
        return `- [${name}](#${name.replaceAll(' ', '-')}): ${command.summary()}`;
      })
      .join('\n'),
    ...commands.map((command) => section(help, command)),
  ];
  return `${parts.join('\n\n')}\n`;
}
