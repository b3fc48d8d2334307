/** The rules of the documents. Each test lists its offenders, so [] is right. */
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from '@jest/globals';
import ts from 'typescript';
import { cliReference, cliReferencePath } from '../docs/cli-reference.ts';
import { readRecord, tablesOf } from '../bench/record.ts';
import { markedParts, partOf } from '../support/marked-text.ts';
import { code, documents, files, linesMatching, root, type File } from './files.ts';
import { unwantedWord } from './words.ts';

const document = (path: string) =>
  documents.find((found) => found.path === path) ?? { path, text: '', lines: [] };

/**
 * Names of what documents define: invariants, hazards, errors of libvirt, decisions, and steps of
 * a removal (R) or an undo (U). M and K were such names once.
 */
const NAME = /\b[IHEDRUMK]\d{1,2}\b/g;
const DEFINITION = /^(?:- \*\*|#+ )([IHEDRU]\d{1,2})(?:\*\*|:| )/;

const scripts = files.filter(({ path }) => path.endsWith('.bash'));

/** Where the words must not come back: documents, messages, comments and names of tests. */
const heldToWords: readonly File[] = [...documents, ...code, ...scripts].filter(
  ({ path }) => path !== 'test/house/words.ts',
);

const defined = documents.flatMap(({ lines }) =>
  lines.flatMap((line) => DEFINITION.exec(line)?.[1] ?? []),
);

test('what code and documents cite is defined', () => {
  const cited = [...code, ...scripts, ...documents].flatMap((file) =>
    file.lines.flatMap((line, at) =>
      [...line.matchAll(NAME)].map(([name]) => ({ name, where: `${file.path}:${at + 1} ${name}` })),
    ),
  );
  expect(cited.filter(({ name }) => !defined.includes(name)).map(({ where }) => where)).toEqual([]);
});

test('nothing is defined twice', () => {
  expect(defined.filter((name, at) => defined.indexOf(name) !== at)).toEqual([]);
});

test('all eighteen invariants are in DESIGN.md', () => {
  const { lines } = document('DESIGN.md');
  const names = lines.flatMap((line) => /^- \*\*(I\d+) /.exec(line)?.[1] ?? []);
  expect(names).toEqual(Array.from({ length: 18 }, (_, at) => `I${at + 1}`));
});

test.each([
  ['README.md', 120],
  ['DESIGN.md', 200],
  ['TESTING.md', 150],
])('%s has at most %d lines', (path, most) => {
  const { length } = document(path).lines;
  expect(length).toBeGreaterThan(0);
  expect(length).toBeLessThanOrEqual(most);
});

const withoutWrittenParts = ({ text }: File) =>
  Object.keys(markedParts).reduce((rest, name) => rest.replace(partOf(name), '$1$2'), text);

test('lines of documents have at most 120 characters, tables a few more', () => {
  const tooLong = documents.flatMap((file) =>
    withoutWrittenParts(file)
      .split('\n')
      .filter((line) => line.length > (line.startsWith('|') ? 170 : 120))
      .map((line) => `${file.path}: ${line}`),
  );
  expect(tooLong).toEqual([]);
});

/** The string literals of every type of the file whose name ends in `Code`. */
function codesIn({ path, text }: File): string[] {
  const codes: string[] = [];
  const collect = (node: ts.Node): void => {
    if (ts.isLiteralTypeNode(node) && ts.isStringLiteral(node.literal)) {
      codes.push(node.literal.text);
    }
    ts.forEachChild(node, collect);
  };
  ts.createSourceFile(path, text, ts.ScriptTarget.Latest).forEachChild((node) => {
    if (ts.isTypeAliasDeclaration(node) && node.name.text.endsWith('Code')) collect(node.type);
  });
  return codes;
}

test('troubleshooting has one heading for each failure code', () => {
  const codes = files
    .filter(({ path }) => /^(workflows\/operation|client\/library)\/.*failure\S*\.ts$/.test(path))
    .flatMap(codesIn);
  const headings = document('docs/guide/troubleshooting.md').lines.flatMap(
    (line) => /^### `?([a-z-]+)`?$/.exec(line)?.[1] ?? [],
  );
  expect(codes).toContain('divergent-chain');
  expect(headings.toSorted()).toEqual([...new Set(codes)].toSorted());
});

/** Targets of inline links and of link definitions that are files of the repository. */
const linksOf = (file: File) =>
  [...file.text.matchAll(/\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$/gm)]
    .map(([, inline, reference]) => inline ?? reference ?? '')
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => target.split('#') as [string, string | undefined])
    .map(([path, anchor]) => ({
      path: path === '' ? file.path : normalize(join(dirname(file.path), path)),
      anchor,
    }));

/** As GitHub makes anchors of headings. */
const anchorsOf = ({ lines }: File) =>
  lines
    .filter((line) => line.startsWith('#'))
    .map((line) => line.replace(/^#+ /, '').toLowerCase())
    .map((heading) => heading.replace(/[^\p{L}\d\- ]/gu, '').replaceAll(' ', '-'));

test('links lead somewhere', () => {
  const broken = documents.flatMap((file) =>
    linksOf(file)
      .filter(
        ({ path, anchor }) =>
          !existsSync(join(root, path)) ||
          (anchor !== undefined && !anchorsOf(document(path)).includes(anchor)),
      )
      .map(({ path, anchor = '' }) => `${file.path} ${path}#${anchor}`),
  );
  expect(broken).toEqual([]);
});

test('every document in docs/ is linked from another one', () => {
  const linked = new Set(
    documents.flatMap((file) =>
      linksOf(file)
        .map(({ path }) => path)
        .filter((path) => path !== file.path),
    ),
  );
  const alone = documents.filter(({ path }) => path.startsWith('docs/') && !linked.has(path));
  expect(alone.map(({ path }) => path)).toEqual([]);
});

test('files that documents name are there', () => {
  const folders = 'workflows|activities|worker|client|test|docs|setup';
  const named = new RegExp(`\`((?:${folders})/[\\w./-]+\\.(?:ts|mjs|bash|md|jsonl))\``, 'g');
  const absent = documents.flatMap((file) =>
    [...file.text.matchAll(named)]
      .filter(([, path = '']) => !existsSync(join(root, path)))
      .map(([, path]) => `${file.path} ${path}`),
  );
  expect(absent).toEqual([]);
});

/** Short names, `real/merge/space`; one without its folder is in that of the name before it. */
function proofsOf(row: string): string[] {
  let folder = '';
  return [...(row.split('|')[2] ?? '').matchAll(/`([\w./-]+)`/g)].map(([, name = '']) => {
    if (name.startsWith('test/')) return name;
    if (name.includes('/')) folder = dirname(name);
    return `test/${name.includes('/') ? name : `${folder}/${name}`}.test.ts`;
  });
}

test('the proofs of TESTING.md are there', () => {
  const { lines } = document('TESTING.md');
  const from = lines.indexOf('| promise | proof |');
  const proofs = lines.slice(from + 2, lines.indexOf('', from)).flatMap(proofsOf);
  expect(proofs.length).toBeGreaterThan(50);
  expect(proofs.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test('the tables of the bench are those of its record', async () => {
  const [part] = partOf('bench').exec(document(markedParts.bench).text) ?? [];
  expect(part).toContain(tablesOf(await readRecord()));
});

test.each(Object.entries(markedParts))('%s has its marks in %s', (name, path) => {
  expect(document(path).text).toMatch(partOf(name));
});

test('the reference of the command line is what `npm run docs` writes', () => {
  expect(document(cliReferencePath).text).toBe(cliReference());
});

test('unwanted words do not come back', () => {
  expect(heldToWords.flatMap((file) => linesMatching(file, unwantedWord))).toEqual([]);
});
