/**
 * Where the Temporal server binary is: on the PATH, then in the cache that `setup.mjs` fills.
 * Plain JavaScript without dependencies, because set-up runs it before anything is installed.
 */
import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

/** The version set-up installs, and the newest one that `go install` can build with an older Go. */
export const temporalVersion = '1.8.2';
export const fallbackTemporalVersion = '1.5.1';

const run = promisify(execFile);

/** What can be made or fetched again at any time. XDG base directory specification. */
export function cacheFolder(env = process.env) {
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'blockflow');
}

export function temporalCacheFolder(env = process.env) {
  return join(cacheFolder(env), 'bin');
}

/** @param {string} file */
export async function isExecutable(file) {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/**
 * Does the first line of `temporal --version` name 1.5 or newer? A binary made with plain
 * `go install` calls itself 0.0.0-DEV, so there its server version decides: 1.5 brought 1.29.
 * @param {string} line
 */
export function isNewEnough(line) {
  const number = '(\\d+)\\.(\\d+)\\.\\d+';
  const match = new RegExp(`temporal version ${number}(?:.*Server ${number})?`).exec(line);
  if (!match) return false;
  const [cliMajor, cliMinor, serverMajor, serverMinor] = match.slice(1).map(Number);
  if (cliMajor > 0) return cliMajor > 1 || cliMinor >= 5;
  return serverMajor > 1 || (serverMajor === 1 && serverMinor >= 29);
}

/** @param {string} file */
export async function answersAsTemporal(file) {
  return run(file, ['--version'], { timeout: 20_000 }).then(
    ({ stdout }) => isNewEnough(stdout),
    () => false,
  );
}

/** The binary to start, or undefined. What is in the cache was tried when it was put there. */
export async function findTemporalBinary(env = process.env) {
  for (const folder of (env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const file = join(folder, 'temporal');
    if ((await isExecutable(file)) && (await answersAsTemporal(file))) return file;
  }
  for (const version of [temporalVersion, fallbackTemporalVersion]) {
    const file = join(temporalCacheFolder(env), `temporal-${version}`);
    if (await isExecutable(file)) return file;
  }
  return undefined;
}
