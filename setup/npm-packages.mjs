/**
 * Step 2: `npm ci`, whenever what is installed is not what the lock file says. No package's own
 * installation script runs; Node 22 is a package of the lock file (setup/node/package.json).
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CannotDo, runShowing, say } from './say.mjs';

const stampOf = (root) => join(root, 'node_modules', '.blockflow-lock-sha256');

/** An optional package of this processor, which npm can be told to leave out. */
const hasNode22 = (root) => existsSync(join(root, 'node_modules', '.bin', 'node'));

function lockHash(root) {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
}

function readOr(file, otherwise) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return otherwise;
  }
}

/**
 * Without our stamp, npm's own record decides: `npm install` by hand leaves a right tree too, and
 * `npm ci` would delete it under running processes.
 */
function matchesNpmsRecord(root) {
  const record = readOr(join(root, 'node_modules', '.package-lock.json'), undefined);
  if (record === undefined) return false;
  const installed = JSON.parse(record).packages ?? {};
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages ?? {};
  return Object.entries(wanted).every(
    ([path, entry]) => path === '' || entry.optional || installed[path]?.version === entry.version,
  );
}

/** @param {string} root */
export function npmPackagesAreThere(root) {
  if (!hasNode22(root)) return false;
  return readOr(stampOf(root), '') === lockHash(root) || matchesNpmsRecord(root);
}

/** @param {string} root */
export function stampNpmPackages(root) {
  if (readOr(stampOf(root), '') === lockHash(root)) return;
  try {
    writeFileSync(stampOf(root), lockHash(root));
  } catch {
    // Only a short cut: a tree that is read-only for us is compared with npm's record every time.
  }
}

/** @param {string} root */
export async function installNpmPackages(root) {
  say('installing the npm packages of package-lock.json, with Node 22 (about 1 min).');
  // npm itself runs on the machine's Node, hence the quiet about engines.
  const args = ['ci', '--ignore-scripts', '--include=dev', '--include=optional'];
  args.push('--loglevel=error', '--no-audit', '--no-fund');
  try {
    await runShowing('npm ci', 'npm', args, { cwd: root });
    if (!hasNode22(root)) throw new CannotDo(`npm ended well without Node 22 for ${process.arch}`);
  } catch (error) {
    const advice = `the npm packages: run "npm ci --ignore-scripts" in ${root}`;
    throw new CannotDo(`${advice} where the npm registry is in reach.\n    Here ${error.message}`, {
      cause: error,
    });
  }
  stampNpmPackages(root);
}
