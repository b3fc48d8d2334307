/**
 * `npm test`: lint, types and tests at once; ends with the plain line "N passed, N failed".
 * `--fast` leaves out what needs libvirt or a browser, and the model, and lints only what changed
 * since. `--suite=NAME` runs what test/suites.mjs lists. Everything else is passed on to jest; with
 * either, lint and types are left out. Of long lists a sample is drawn (test/support/sample.ts),
 * with BLOCKFLOW_SEED another one.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { watchMachine } from './machine.mjs';
import { apart, named, suites } from './suites.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, 'node_modules', '.bin');
// Named as host-folder.ts names folders, so that the next run removes it when this one is killed.
const startTime = readFileSync('/proc/self/stat', 'latin1').split(') ').at(-1)?.split(' ')[19];
const reports = `/tmp/blockflow-test/${process.pid}-${startTime}-report`;
mkdirSync(reports, { recursive: true });

const args = process.argv.slice(2).filter((arg) => arg !== '--');
const isFast = args.includes('--fast');
/** Name of a suite that runs alone. */
const alone = Object.keys(apart).find((name) => args.includes(`--suite=${name}`));
const folders = { ...suites, ...apart };
const options = ['--fast', `--suite=${alone}`];
const filters = args.filter((arg) => !options.includes(arg)).flatMap(testsOf);
// Who names a case wants that one, whatever the sample is.
if (filters.some((arg) => /^(-t|--testNamePattern)/.test(arg))) {
  process.env.BLOCKFLOW_ALL_CASES = '1';
}
if (isFast) process.env.BLOCKFLOW_FAST = '1';
const seed = process.env.BLOCKFLOW_SEED || '0';
if (!/^-?\d{1,10}$/.test(seed)) throw new Error(`BLOCKFLOW_SEED=${seed} is no whole number`);
process.env.BLOCKFLOW_SEED = seed;
const minutes = 60_000;

const hook = 'test/support/host/stripped-once.mjs';
const quiet = '--disable-warning=ExperimentalWarning';
const bundling = [quiet, '--import', `./${hook}`, 'test/support/host/bundle-once.ts'];
const checks = ['test/checks.mjs', ...(isFast ? ['--cached'] : [])];
// `npm run test:model` takes about two seconds a run.
const runsOfModelMs = Number(process.env.BLOCKFLOW_RUNS ?? 0) * 5000;
// All 1,600 cases of the crash matrices take over an hour, with little else beside them.
const allCasesMs = process.env.BLOCKFLOW_ALL_CASES ? 170 * minutes : 0;
// A real test waits more than it computes: for a guest to boot, for an agent to be given up.
const workers = Math.min(2 * availableParallelism(), 8);

// Node 22 of node_modules first. Root has no sbin after a plain `su`.
const path = [bin, process.env.PATH ?? '', '/usr/local/sbin', '/usr/sbin', '/sbin'];
// Tests read what virsh says to people, which it says in their language.
const env = { ...process.env, PATH: path.join(delimiter), LC_ALL: 'C.UTF-8' };

/** @returns what the suite of `--suite=NAME` lists; any other argument as it is */
function testsOf(arg) {
  const [, name] = /^--suite=(.*)$/.exec(arg) ?? [];
  if (name === undefined) return [arg];
  if (!Object.hasOwn(named, name)) {
    const names = Object.keys({ ...named, ...apart }).join(', ');
    throw new Error(`--suite=${name} is none of ${names}`);
  }
  return named[name];
}

/** Node 22, for the step and for what it starts; resolves to true on exit 0. */
function runNode(command, limitMs) {
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

async function runChecks() {
  const name = 'checks';
  if (filters.length > 0 || alone) return { name, note: 'left out, as tests are filtered' };
  const start = Date.now();
  const isGood = await runNode(checks, 10 * minutes);
  const seconds = (Date.now() - start) / 1000;
  return { name, passed: isGood ? 1 : 0, failed: isGood ? 0 : 1, seconds };
}

function hasTests(folder) {
  const path = join(root, 'test', folder);
  if (!existsSync(path)) return false;
  return readdirSync(path, { recursive: true }).some((file) => file.endsWith('.test.ts'));
}

/** All in one run of jest, so that no core is idle while the last file of a suite ends. */
async function runTests(wanted, limitMs) {
  const matched = wanted.flatMap((suite) => folders[suite]).filter(hasTests);
  const report = join(reports, 'jest.json');
  const isGood = await runNode(
    [
      '--experimental-vm-modules',
      quiet,
      'node_modules/jest/bin/jest.js',
      // Not as positional patterns: those would be joined with the user's by "or".
      ...matched.map((folder) => `--testMatch=<rootDir>/test/${folder}/**/*.test.ts`),
      `--maxWorkers=${workers}`,
      '--passWithNoTests',
      '--json',
      `--outputFile=${report}`,
      ...filters,
    ],
    limitMs,
  );
  printFailures(report);
  const rows = wanted.map((suite) => countReport(report, suite));
  // Whatever made jest fail without a failed test (a hook, a crash, the time limit) is a failure.
  if (!isGood && rows.every(({ failed }) => failed === 0)) rows[0].failed = 1;
  return rows;
}

const readReport = (file) =>
  (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).testResults : undefined) ?? [];

/**
 * Each failed test with the first line of its reason: the last words of a long log name them all.
 */
function printFailures(file) {
  const firstLine = (text) => (text.match(/\S.*/)?.[0] ?? '').slice(0, 200);
  for (const { name, status, message, assertionResults } of readReport(file)) {
    if (status !== 'failed') continue;
    const failed = assertionResults.filter((test) => test.status === 'failed');
    console.log(`\n${relative(root, name)}: ${failed.length} failed`);
    if (failed.length === 0) console.log(`  ${firstLine(message)}`);
    for (const { fullName, failureMessages } of failed) {
      console.log(`  ${fullName}\n    ${firstLine(failureMessages[0] ?? '')}`);
    }
  }
}

/** A file that failed without a failed test in it, as when it cannot be loaded, counts as one. */
function countReport(file, suite) {
  const row = { name: suite, passed: 0, failed: 0, seconds: 0, isTests: true };
  for (const { name, status, assertionResults, startTime, endTime } of readReport(file)) {
    const [, folder] = relative(root, name).split(sep);
    if (!folders[suite].includes(folder)) continue;
    const count = (wanted) => assertionResults.filter((test) => test.status === wanted).length;
    row.passed += count('passed');
    row.failed += count('failed');
    row.seconds += (endTime - startTime) / 1000 || 0;
    if (status === 'failed' && count('failed') === 0) row.failed += 1;
  }
  return row;
}

function printTable(rows) {
  // Of tests: what their files took, several of them at a time.
  console.log(`\n${'step'.padEnd(8)}${'passed'.padStart(8)}${'failed'.padStart(8)}   seconds`);
  for (const { name, passed, failed, seconds = 0, note } of rows) {
    const counts = `${String(passed).padStart(8)}${String(failed).padStart(8)}`;
    const figures = `${counts}${seconds.toFixed(1).padStart(10)}`;
    console.log(`${name.padEnd(8)}${note === undefined ? figures : `  ${note}`}`);
  }
}

async function main() {
  const start = Date.now();
  const [wanted, limitMs] = isFast
    ? [['fast'], 10 * minutes + runsOfModelMs]
    : [alone ? [alone] : Object.keys(suites), 80 * minutes + runsOfModelMs + allCasesMs];
  const worstOfMachine = watchMachine();
  if (!isFast) await runNode(bundling, 10 * minutes);
  const steps = [runChecks(), runTests(wanted, limitMs)];
  const rows = (await Promise.all(steps)).flat();
  printTable(rows);
  console.log(worstOfMachine());
  console.log(`All in ${((Date.now() - start) / 1000).toFixed(0)} s.`);
  const sum = (key) => rows.reduce((total, row) => total + (row[key] ?? 0), 0);
  const testsRan = rows.some((row) => row.isTests && row.passed + row.failed > 0);
  if (!testsRan) console.log('No test ran.');
  console.log(`Samples and inputs were drawn with BLOCKFLOW_SEED=${seed}.`);
  console.log(`\n${sum('passed')} passed, ${sum('failed')} failed`);
  return testsRan && sum('failed') === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} finally {
  rmSync(reports, { recursive: true, force: true });
}
