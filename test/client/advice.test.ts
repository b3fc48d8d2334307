/** What messages say to type: the program takes each command, its arguments and its options. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { CommanderError, type Command } from 'commander';
import ts from 'typescript';
import { exitCodes, exitCodeOf } from '../../client/library/failure.ts';
import { createProgram } from '../../client/cli/run-cli.ts';
import { createScreen } from '../support/scenes/client-views.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const files = ['activities', 'client', 'worker', 'workflows'].flatMap((folder) =>
  globSync(`${folder}/**/*.ts`, { cwd: root }),
);

/** What stands for a value, by the last name in its expression. */
const VALUES: Record<string, string> = {
  ...{ vm: 'web1', host: 'h1', disk: 'vda', second: 'vdb', to: 'vault', pool: 'images' },
  ...{ id: 'web1/vda', workflow: 'web1/vda', imageId: 'web1/vda', ref: 'web1/vda' },
  ...{ removal: 'images/a.qcow2', volume: 'a.qcow2', top: 'a.qcow2', format: 'qcow2' },
  ...{ folder: '/images', dirname: '/images', path: '/images', role: 'host', formatOf: 'raw' },
  ...{ snapshot: 's1', name: 's1', names: 's1', request: 'merge web1/vda', command: 'up' },
};
/** Words of a usage, of which people make their own. */
const WORDS: Record<string, string> = {
  ...{ VM: 'web1', DISK: 'vda', 'VM/DISK': 'web1/vda', NAME: 's1', 'POOL/FILE': 'images/a.raw' },
  ...{ ROLE: 'host', 'pivot|keep': 'pivot', '[DISK]': 'vda', FORMAT: 'qcow2' },
};

/** `vm.name` is that of a VM; `typed(dirname(path))` is what it ends with. */
function valueOf(expression: ts.Expression, before: string): string {
  if (ts.isConditionalExpression(expression)) return textOf(expression.whenTrue) ?? '';
  const names = expression.getText().match(/\w+/g) ?? [];
  if (/\bvm\.name\b/.test(expression.getText())) return 'web1';
  const known = names.filter((name) => name in VALUES);
  if (before.endsWith('/') && known.at(-1) === 'name') return 'a.qcow2';
  return VALUES[known.find((name) => /Id$|^dirname$|Of$/.test(name)) ?? known.at(-1) ?? ''] ?? '';
}

function textOf(node: ts.Node): string | null {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return null;
  return node.templateSpans.reduce(
    (text, { expression, literal }) => text + valueOf(expression, text) + literal.text,
    node.head.text,
  );
}

interface Advice {
  place: string;
  command: string;
}

/** Between backquotes, or tagged as words of a shell, which puts them between backquotes. */
function adviceIn(path: string): Advice[] {
  const source = ts.createSourceFile(
    path,
    readFileSync(join(root, path), 'utf8'),
    ts.ScriptTarget.Latest,
    true,
  );
  const found: Advice[] = [];
  const visit = (node: ts.Node): void => {
    const text = textOf(node);
    if (text !== null) {
      const isTagged = ts.isTaggedTemplateExpression(node.parent);
      const commands = isTagged ? [text] : [...text.matchAll(/`([^`]*)`/g)].map(([, one]) => one);
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      for (const command of commands) {
        if (command?.startsWith('blockflow ')) {
          found.push({ place: `${path}:${line + 1}`, command: command.trim() });
        }
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const advice = files.flatMap(adviceIn).filter(({ command }) => !/[…>$]/.test(command));

/** Commands whose body asks the server. Those of a site would start something here. */
const ASKING = ['merge', 'move', 'copy', 'rm', 'snapshot', 'status', 'chain', 'cancel', 'decide'];

/** Why the program does not take it; null when it does. */
async function refusalOf(command: string): Promise<string | null> {
  const args = command
    .split(/\s+/)
    .slice(1)
    .map((word) => WORDS[word] ?? word);
  const { screen } = createScreen();
  const runs = ASKING.includes(args[0] ?? '');
  const program = createProgram({
    screen,
    run: async (body) => (runs ? void (await body()) : undefined),
  });
  // Only named.
  if (isNameOf(program, args)) return null;
  try {
    await program.parseAsync(args, { from: 'user' });
    return null;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? null : error.message;
    return exitCodeOf(error) === exitCodes.usage ? (error as Error).message : null;
  }
}

function isNameOf(program: Command, words: readonly string[]): boolean {
  const [first, ...rest] = words;
  if (first === undefined) return true;
  const found = program.commands.find((command) => command.name() === first);
  return found !== undefined && isNameOf(found, rest);
}

describe('A command in a message', () => {
  it('is found in the code', () => {
    expect(advice.length).toBeGreaterThan(60);
  });

  it('is taken by the program', async () => {
    process.env['TEMPORAL_ADDRESS'] = '127.0.0.1:1';
    const judged = advice.map(async ({ place, command }) => {
      const refusal = await refusalOf(command);
      return refusal === null ? [] : [`${place} \`${command}\`: ${refusal}`];
    });
    expect((await Promise.all(judged)).flat()).toEqual([]);
  });
});
