/**
 * `npm run test:seeded`: plants each bug of bugs.ts in a copy of the tree, two at a time, and
 * runs the test that has to notice. Prints a markdown table; with `--write` also puts it into
 * docs/proof/seeded-bugs.md. `--only WORDS` plants those whose names have the words.
 */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa, type ExecaError } from 'execa';
import { writeMarked } from '../support/marked-text.ts';
import { seededBugs, type SeededBug } from './bugs.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const args = process.argv.slice(2);
const only = args.includes('--only') ? (args[args.indexOf('--only') + 1] ?? '') : '';
const notCopied = /\/(node_modules|\.git|dist)$/;

/** Runs the test that has to notice a bug; the error has what it printed. */
async function runTest(tree: string, { caughtBy, only: title }: SeededBug): Promise<void> {
  const titles = title === undefined ? [] : ['-t', title];
  await execa('node', ['test/run.mjs', caughtBy, '--bail', ...titles], { cwd: tree, all: true });
}

/** Tests that pass without a bug, by file and title: only their failing says anything. */
const sound = new Set<string>();

/** Null when the test fails without the bug, too. */
async function isCaught(tree: string, bug: SeededBug): Promise<boolean | null> {
  const test = `${bug.caughtBy} ${bug.only ?? ''}`;
  if (!sound.has(test)) {
    const fails = await runTest(tree, bug).then(
      () => null,
      (error: ExecaError) => String(error.all),
    );
    if (fails !== null) return (process.stderr.write(fails), null);
  }
  sound.add(test);
  const file = join(tree, bug.file);
  const text = await readFile(file, 'utf8');
  await writeFile(
    file,
    text.replace(bug.from, () => bug.to),
  );
  const caught = await runTest(tree, bug).then(
    () => false,
    () => true,
  );
  await writeFile(file, text);
  return caught;
}

const bugs = seededBugs.filter(({ name }) => name.includes(only)).entries();
const rows: string[] = [];
let missed = 0;

/** Takes the next bug until none is left. */
async function plantIn(tree: string): Promise<void> {
  await cp(root, tree, { recursive: true, filter: (path) => !notCopied.test(path) });
  await symlink(join(root, 'node_modules'), join(tree, 'node_modules'));
  for (const [index, bug] of bugs) {
    const caught = await isCaught(tree, bug);
    if (!caught) missed++;
    const layer = bug.caughtBy.split('/')[1];
    const missing = caught === null ? 'test fails without it' : 'not caught';
    rows[index] = `| ${bug.name} | ${caught ? layer : `**${missing}**`} | \`${bug.caughtBy}\` |`;
    process.stderr.write(`${caught ? 'caught' : missing.toUpperCase()}: ${bug.name}\n`);
  }
}

const folder = await mkdtemp(join(tmpdir(), 'blockflow-seeded-'));
try {
  // Tests wait more than they compute.
  await Promise.all(['a', 'b'].map((name) => plantIn(join(folder, name))));
} finally {
  await rm(folder, { recursive: true, force: true });
}
const table = ['| bug | caught by | test |', '|---|---|---|', ...rows].join('\n');
process.stdout.write(`${table}\n`);
if (args.includes('--write')) await writeMarked('seeded', table);
process.exit(missed === 0 ? 0 : 1);
