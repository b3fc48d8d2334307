/**
 * Types, lint, rooms, format of all sources, and what is unused. Types and lint share a program:
 * most of what typed rules ask for is known once types are checked, which takes tsc and eslint, one
 * after the other, twice the time. `--cached` takes only what has changed since.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ESLint } from 'eslint';
import ts from 'typescript';
import tseslint from 'typescript-eslint';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, 'node_modules', '.cache');
const isCached = process.argv.includes('--cached');

function createProgram() {
  const caching = { incremental: true, tsBuildInfoFile: join(cache, 'tsc.json') };
  // Said again, since a tsconfig.json that cannot be read must not fill the tree with output.
  const options = { noEmit: true, ...(isCached && caching) };
  const onUnRecoverableConfigFileDiagnostic = (diagnostic) => report([diagnostic]);
  const config = ts.getParsedCommandLineOfConfigFile(join(root, 'tsconfig.json'), options, {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic,
  });
  return ts.createIncrementalProgram({
    rootNames: config.fileNames,
    options: config.options,
    configFileParsingDiagnostics: config.errors,
  });
}

function report(diagnostics) {
  const { sys } = ts;
  const getCanonicalFileName = (name) => name;
  const host = { getCurrentDirectory: () => root, getNewLine: () => sys.newLine };
  const format = { ...host, getCanonicalFileName };
  process.stdout.write(
    sys.writeOutputIsTTY?.()
      ? ts.formatDiagnosticsWithColorAndContext(diagnostics, format)
      : ts.formatDiagnostics(diagnostics, format),
  );
}

/** @returns false when a type is wrong */
function checkTypes(program) {
  const diagnostics = ts.getPreEmitDiagnostics(program);
  // Of a program without output this keeps what the next run need not check.
  const { diagnostics: more } = program.emit();
  report([...diagnostics, ...more]);
  return diagnostics.length + more.length === 0;
}

/** @returns false when a rule is broken */
async function lint(program) {
  const programs = [program.getProgram()];
  // An option of the configuration would be part of the cache's key, and a program is no key.
  const parser = {
    ...tseslint.parser,
    parseForESLint: (code, options) =>
      tseslint.parser.parseForESLint(code, { ...options, projectService: false, programs }),
  };
  const eslint = new ESLint({
    cwd: root,
    overrideConfig: { files: ['**/*.ts', '**/*.mts'], languageOptions: { parser } },
    // Rules that know types look into other files, whose changes such a cache does not see.
    ...(isCached && { cache: true, cacheLocation: join(cache, 'eslint') }),
  });
  const results = await eslint.lintFiles(['.']);
  process.stdout.write(await (await eslint.loadFormatter('stylish')).format(results));
  return results.every(({ errorCount }) => errorCount === 0);
}

/** @returns false when a file is not as Prettier writes it */
const checkFormat = () =>
  runTool('prettier/bin/prettier.cjs', [
    '--check',
    '--log-level',
    'warn',
    ...(isCached ? ['--cache'] : []),
    '.',
  ]);

/** @returns false when something is exported, installed or there for nothing (knip.json) */
const checkUnused = () => (isCached ? true : runTool('knip/bin/knip.js', ['--no-progress']));

async function runTool(path, args) {
  const tool = join(root, 'node_modules', path);
  const child = spawn(process.execPath, [tool, ...args], { cwd: root, stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  return code === 0;
}

/** @returns false when a room imports what it must not see (rooms.config.js) */
async function checkRooms() {
  const { cruise } = await import('dependency-cruiser');
  const { default: rules } = await import('../rooms.config.js');
  const options = { ...rules.options, ruleSet: { forbidden: rules.forbidden }, validate: true };
  const tsConfig = ts.parseConfigFileTextToJson(
    '',
    readFileSync(join(root, 'tsconfig.json'), 'utf8'),
  );
  const folders = ['workflows', 'activities', 'worker', 'client'];
  const { output } = await cruise(folders, options, undefined, { tsConfig: tsConfig.config });
  for (const { from, to, rule } of output.summary.violations) {
    process.stdout.write(`${from} imports ${to}: ${rule.name}\n`);
  }
  return output.summary.error === 0 && output.summary.totalCruised > 0;
}

const tools = [checkFormat(), checkUnused()];
const program = createProgram();
const good = [
  checkTypes(program),
  await lint(program),
  await checkRooms(),
  ...(await Promise.all(tools)),
];
process.exitCode = good.every(Boolean) ? 0 : 1;
