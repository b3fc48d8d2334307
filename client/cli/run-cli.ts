/**
 * Parses a command line, runs the command, and turns however it ends into words and an exit code.
 */
import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { Command, CommanderError } from 'commander';
import { exitCodes, usage } from '../library/failure.ts';
import { printJson, type Context } from './commands/command.ts';
import { commands } from './commands/index.ts';
import { failureDocument, failureLines } from './render/failure.ts';
import type { Screen } from './screen.ts';

export async function runCli(args: readonly string[], screen: Screen): Promise<number> {
  let exitCode: number = exitCodes.done;
  const run = async (body: () => Promise<number>) => {
    exitCode = await body();
  };
  const program = createProgram({ screen, run });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    return tellFailure(screen, args, error);
  }
}

/** Of the package that this file is a part of, in a checkout or installed. */
function version(): string {
  const manifest = findPackageJSON('..', import.meta.url) ?? '';
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

export function createProgram(context: Context): Command {
  const { screen } = context;
  const program = new Command('blockflow')
    .description(
      'Durable block jobs of libvirt VMs: merge snapshots while the VM runs, whatever dies.',
    )
    .version(version(), '-V, --version', 'print the version of blockflow')
    .enablePositionalOptions()
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => screen.print(text.trimEnd()),
      writeErr: (text) => screen.tell(text.trimEnd()),
      // Told by tellFailure, like every other failure.
      outputError: () => undefined,
    })
    .addHelpText('after', '\nWherever a command takes VM DISK, VM/DISK is the same.');
  for (const define of commands) define(program, context);
  return program;
}

function tellFailure(screen: Screen, args: readonly string[], error: unknown): number {
  if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done;
  if (error instanceof CommanderError && error.code === 'commander.help') return exitCodes.usage;
  const failure = error instanceof CommanderError ? notUnderstood(args, error) : error;
  if (process.env['BLOCKFLOW_DEBUG']) console.error(error);
  const document = failureDocument(failure);
  if (args.includes('--json')) printJson(screen, document);
  else for (const line of failureLines(failure, screen.paint)) screen.tell(line);
  return document.exitCode;
}

function notUnderstood(args: readonly string[], error: CommanderError) {
  const words = error.message.replace(/^error: /, '');
  const command = args.find((arg) => !arg.startsWith('-'));
  const known = command !== undefined && error.code !== 'commander.unknownCommand';
  const help = `See \`blockflow ${known ? `${command} ` : ''}--help\``;
  return usage(`blockflow ${args.join(' ')}`.trim(), words, help);
}
