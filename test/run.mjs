/**
 * `npm test`: lint, types, then jest by folder; ends with the plain line "N passed, N failed".
 * `--fast` leaves out what needs libvirt or a browser. Everything else is passed on to jest, and
 * with such a filter lint and types are left out too.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, 'node_modules', '.bin');
const reports = mkdtempSync(join(tmpdir(), 'blockflow-test-'));

const args = process.argv.slice(2).filter((arg) => arg !== '--');
const filters = args.filter((arg) => arg !== '--fast');
// Who names a case wants that one, whatever today's sample is.
if (filters.some((arg) => /^(-t|--testNamePattern)/.test(arg))) {
  process.env.BLOCKFLOW_ALL_CASES = '1';
}
const minutes = 60_000;

const checks = [
  { name: 'lint', command: ['node_modules/eslint/bin/eslint.js', '.'] },
  { name: 'types', command: ['node_modules/typescript/bin/tsc', '--noEmit'] },
];
const fast = ['unit', 'input', 'workflows', 'activities', 'replay', 'model'];
// `npm run test:model` takes about two seconds a run.
const limitOfFast = 5 * minutes + Number(process.env.BLOCKFLOW_RUNS ?? 0) * 5000;
const suites = [
  { name: 'fast', folders: fast, limitMs: limitOfFast },
  { name: 'real', folders: ['real', 'crash'], limitMs: 70 * minutes },
  { name: 'web', folders: ['web'], limitMs: 5 * minutes },
];

/** Node 22 of node_modules, for the step and for what it starts; resolves to true on exit 0. */
function runNode(command, limitMs) {
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` };
  return new Promise((resolve) => {
    const child = spawn(join(bin, 'node'), command, { cwd: root, env, stdio: 'inherit' });
    const timer = setTimeout(() => {
      console.error(`Stopped: not done after ${limitMs / minutes} min.`);
      child.kill('SIGKILL');
    }, limitMs);
    const end = (isGood) => {
      clearTimeout(timer);
      resolve(isGood);
    };
    child.on('error', (error) => {
      console.error(`${error.message}: run "node setup.mjs" first.`);
      end(false);
    });
    child.on('exit', (code) => end(code === 0));
  });
}

async function runCheck({ name, command }) {
  if (filters.length > 0) return { name, note: 'left out, as tests are filtered' };
  const isGood = await runNode(command, 5 * minutes);
  return { name, passed: isGood ? 1 : 0, failed: isGood ? 0 : 1 };
}

function hasTests(folder) {
  const path = join(root, 'test', folder);
  if (!existsSync(path)) return false;
  return readdirSync(path, { recursive: true }).some((file) => file.endsWith('.test.ts'));
}

async function runSuite({ name, folders, limitMs }) {
  const present = folders.filter(hasTests);
  if (present.length === 0) return { name, note: 'no test files yet' };
  const report = join(reports, `${name}.json`);
  const isGood = await runNode(
    [
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      'node_modules/jest/bin/jest.js',
      // Not as positional patterns: those would be joined with the user's by "or".
      ...present.map((folder) => `--testMatch=<rootDir>/test/${folder}/**/*.test.ts`),
      '--maxWorkers=3',
      '--passWithNoTests',
      '--json',
      `--outputFile=${report}`,
      ...filters,
    ],
    limitMs,
  );
  const { passed, failed } = countReport(report);
  // Whatever made jest fail without a failed test (a hook, a crash, the time limit) is a failure.
  return { name, passed, failed: failed === 0 && !isGood ? 1 : failed, isTests: true };
}

/** A file that failed without a failed test in it, as when it cannot be loaded, counts as one. */
function countReport(file) {
  if (!existsSync(file)) return { passed: 0, failed: 0 };
  const { testResults } = JSON.parse(readFileSync(file, 'utf8'));
  let passed = 0;
  let failed = 0;
  for (const { status, assertionResults } of testResults) {
    const count = (wanted) => assertionResults.filter((test) => test.status === wanted).length;
    passed += count('passed');
    failed += count('failed');
    if (status === 'failed' && count('failed') === 0) failed += 1;
  }
  return { passed, failed };
}

async function timed(step) {
  const start = Date.now();
  const result = await step;
  return { ...result, seconds: (Date.now() - start) / 1000 };
}

function printTable(rows) {
  console.log(`\n${'step'.padEnd(8)}${'passed'.padStart(8)}${'failed'.padStart(8)}   seconds`);
  for (const { name, passed, failed, seconds, note } of rows) {
    const counts = `${String(passed).padStart(8)}${String(failed).padStart(8)}`;
    const figures = `${counts}${seconds.toFixed(1).padStart(10)}`;
    console.log(`${name.padEnd(8)}${note === undefined ? figures : `  ${note}`}`);
  }
}

async function main() {
  const rows = [];
  rows.push(...(await Promise.all(checks.map((check) => timed(runCheck(check))))));
  const wanted = args.includes('--fast') ? suites.slice(0, 1) : suites;
  for (const suite of wanted) rows.push(await timed(runSuite(suite)));
  printTable(rows);
  const sum = (key) => rows.reduce((total, row) => total + (row[key] ?? 0), 0);
  const testsRan = rows.some((row) => row.isTests && row.passed + row.failed > 0);
  if (!testsRan) console.log('No test ran.');
  console.log(`\n${sum('passed')} passed, ${sum('failed')} failed`);
  return testsRan && sum('failed') === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} finally {
  rmSync(reports, { recursive: true, force: true });
}
