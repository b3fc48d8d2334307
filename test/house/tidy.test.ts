/** The rules of the house as tests. Each lists its offenders as "file:line what", so [] is tidy. */
import { readFileSync, existsSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { basename, join } from 'node:path';
import { expect, test } from '@jest/globals';
import ts from 'typescript';
import { effectNames } from '../../activities/door/effect.ts';
import { code, documents, files, linesMatching, root, type File } from './files.ts';

type Source = File & { tree: ts.SourceFile };

const sources = files.filter(({ path }) => /\.(ts|mts|mjs|js)$/.test(path)).map(parse);

function parse(file: File): Source {
  const tree = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true);
  return { ...file, tree };
}

function isIn(...folders: string[]) {
  return ({ path }: File) => folders.some((folder) => path.startsWith(`${folder}/`));
}

/** Every node of the file for which `judge` has words, with its line. */
function offences(source: Source, judge: (node: ts.Node) => string | undefined): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const words = judge(node);
    const { line } = source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree));
    if (words !== undefined) found.push(`${source.path}:${line + 1} ${words}`);
    ts.forEachChild(node, visit);
  };
  visit(source.tree);
  return found;
}

/** Built from pieces, so that this file keeps its own rules. */
const word = (...halves: string[]) => halves.join('');

/** Import lists are the formatter's, and readers skip them to understand a file. */
function linesRead({ lines }: File): number {
  const last = lines.findLastIndex((line) => /^(\} from '|import .* from ')/.test(line));
  const first = lines.findIndex((line) => line.startsWith('import '));
  return lines.length - (first < 0 ? 0 : last - first + 1);
}

test('files have at most 250 lines, imports not counted', () => {
  const long = code.filter((file) => linesRead(file) > 250);
  expect(long.map((file) => `${file.path} has ${linesRead(file)} lines`)).toEqual([]);
});

test('lines have at most 100 characters', () => {
  const tooLong = code.flatMap(({ path, lines }) =>
    lines.flatMap((line, index) =>
      line.length > 100 ? [`${path}:${index + 1} has ${line.length} characters`] : [],
    ),
  );
  expect(tooLong).toEqual([]);
});

/**
 * The callback of `describe` is a heading over tests, not a function that a reader has to follow.
 */
function isDescribeCallback(node: ts.Node): boolean {
  return ts.isCallExpression(node.parent) && /^describe\b/.test(node.parent.expression.getText());
}

test('functions have at most 60 lines', () => {
  const long = sources.flatMap((source) =>
    offences(source, (node) => {
      if (!ts.isFunctionLike(node) || isDescribeCallback(node)) return undefined;
      const lineOf = (position: number) => ts.getLineAndCharacterOfPosition(source.tree, position);
      const lines = lineOf(node.getEnd()).line - lineOf(node.getStart()).line + 1;
      return lines > 60 ? `function of ${lines} lines` : undefined;
    }),
  );
  expect(long).toEqual([]);
});

function defaultExport(node: ts.Node): string | undefined {
  const isDefault =
    (ts.isExportAssignment(node) && node.isExportEquals !== true) ||
    (ts.isExportSpecifier(node) && node.name.text === 'default') ||
    (ts.isModifier(node) && node.kind === ts.SyntaxKind.DefaultKeyword);
  return isDefault ? 'default export' : undefined;
}

test('nothing is exported as default, but for tools that want their configuration so', () => {
  const ours = sources.filter(({ path }) => !path.endsWith('.config.js'));
  expect(ours.flatMap((source) => offences(source, defaultExport))).toEqual([]);
});

/** The module that this node imports, whichever way it is written. */
function importedModule(node: ts.Node): string | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
    const specifier = node.moduleSpecifier;
    return specifier && ts.isStringLiteral(specifier) ? specifier.text : undefined;
  }
  if (!ts.isCallExpression(node)) return undefined;
  const isImport = /^(import|require)$/.test(node.expression.getText());
  const [first] = node.arguments;
  return isImport && first && ts.isStringLiteralLike(first) ? first.text : undefined;
}

function importsOf(source: Source, isForbidden: (name: string) => boolean): string[] {
  return offences(source, (node) => {
    const name = importedModule(node)?.replace(/^node:/, '');
    return name !== undefined && isForbidden(name) ? `imports ${name}` : undefined;
  });
}

test('workflow code imports no Node built-ins', () => {
  const builtins = new Set(builtinModules.map((name) => name.replace(/^node:/, '')));
  const found = sources
    .filter(isIn('workflows'))
    .flatMap((source) => importsOf(source, (name) => builtins.has(name)));
  expect(found).toEqual([]);
});

test('only adapters start processes and touch files', () => {
  const outside = /^(child_process|fs|fs\/promises|execa)$/;
  const found = sources
    .filter(isIn('workflows', 'activities'))
    .filter((source) => !isIn('activities/adapters', 'activities/pool-folder')(source))
    .flatMap((source) => importsOf(source, (name) => outside.test(name)));
  expect(found).toEqual([]);
});

test('who starts a process says what it gets of the environment', () => {
  // Keys and tokens are no business of a child, some of which live for hours.
  const found = sources
    .filter(isIn('activities', 'worker'))
    .filter(({ text }) => /\b(spawn|execa)\(/.test(text) && !/\bchildEnvironment\(/.test(text));
  expect(found.map(({ path }) => path)).toEqual([]);
});

test('one function decides whether a VM is down', () => {
  // libvirt's "shut off" alone is no proof: a lost VM's QEMU lives.
  const asks = /\.domainInfo\(/;
  const found = sources.filter(isIn('activities')).flatMap((file) => linesMatching(file, asks));
  expect([...new Set(found.map((line) => line.split(':')[0]))]).toEqual([
    'activities/host/chain/lost-vm.ts',
  ]);
});

test('values in the command of a message are words of a shell', () => {
  const bare = /\\`(virsh|qemu-img|kill|chown|blockflow (?!worker )[a-z ]+) [^`\\]*\$\{/;
  const messages = sources.filter(isIn('workflows', 'activities', 'client', 'worker'));
  expect(messages.flatMap((file) => linesMatching(file, bare))).toEqual([]);
});

test('nothing is left for later', () => {
  const later = new RegExp(`\\b(${word('TO', 'DO')}|${word('FIX', 'ME')}|${word('XX', 'X')})\\b`);
  const readable = files.filter(({ path }) => !/^(LICENSE|package-lock\.json)$/.test(path));
  expect(readable.flatMap((file) => linesMatching(file, later))).toEqual([]);
});

test('every folder and file has a name that says what it is', () => {
  const nameless = /^(.+-)?(utils?|helpers?)$|^(common|types?|misc)$/;
  const found = files.filter(({ path }) =>
    path.split('/').some((part) => nameless.test(part.replace(/\..*$/, ''))),
  );
  expect(found.map(({ path }) => path)).toEqual([]);
});

test('every test runs', () => {
  const tests = /^(it|test|describe)\b.*\.(skip|only|todo|failing)$|^([xf](it|test|describe))$/;
  const found = sources.filter(isIn('test')).flatMap((source) =>
    offences(source, (node) => {
      if (!ts.isPropertyAccessExpression(node) && !ts.isIdentifier(node)) return undefined;
      return tests.test(node.getText()) ? node.getText() : undefined;
    }),
  );
  expect(found).toEqual([]);
});

test('what the tests of a file share is opened by `use`, whose end no failed start breaks', () => {
  const byHand = /^ *\w+ = await (start(SharedSystem|MoveSystem|Bench)|mount(Own|Faulty))\(/;
  const tests = sources.filter(({ path }) => path.endsWith('.test.ts'));
  expect(tests.flatMap((file) => linesMatching(file, byHand))).toEqual([]);
});

test('no test chooses by the date', () => {
  // What a run tries is drawn from a seed by test/support/sample.ts, and the same on every day.
  const parts = /\bDate\.now\(\)\s*[%/]|\b86_?400|\.get(UTC)?(Day|Date|Month|Hours|Minutes)\(/;
  expect(sources.filter(isIn('test')).flatMap((file) => linesMatching(file, parts))).toEqual([]);
});

test('protobufjs 8 is there once, at the top, or replay from JSON fails', () => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version?: string }>;
  };
  const copies = Object.entries(lock.packages)
    .filter(([path, { version }]) => basename(path) === 'protobufjs' && /^8\./.test(version ?? ''))
    .map(([path]) => path)
    .filter((path) => existsSync(join(root, path)));
  expect(copies).toEqual(['node_modules/protobufjs']);
});

test('every effect is described in docs/protocol', () => {
  const protocols = documents.filter(({ path }) => path.startsWith('docs/protocol/'));
  const isDescribed = (name: string) => protocols.some(({ text }) => text.includes(`\`${name}\``));
  expect(effectNames.filter((name) => !isDescribed(name))).toEqual([]);
});

test('no file names a folder of one machine or a package registry', () => {
  const folders = ['work', 'farm'].map((name) => `(?<![\\w.)}])/${name}/`);
  const registries = [
    'registry\\.(npmjs|yarnpkg)\\.',
    'npm\\.pkg\\.github\\.',
    'proxy\\.golang\\.',
    'pypi\\.org',
    'pythonhosted\\.',
    `"${word('resol', 'ved')}": "http`,
  ];
  const pattern = new RegExp([...folders, ...registries].join('|'));
  expect(files.flatMap((file) => linesMatching(file, pattern))).toEqual([]);
});
