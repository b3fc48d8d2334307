/** Step 3: the Temporal server binary, into the cache: the official download, else a Go build. */
import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import {
  answersAsTemporal,
  fallbackTemporalVersion,
  findTemporalBinary,
  temporalCacheFolder,
  temporalVersion,
} from '../worker/environment/temporal-search.mjs';
import { whileLocked } from './lock.mjs';
import { CannotDo, runShowing, say } from './say.mjs';

const run = promisify(execFile);
const module = 'github.com/temporalio/cli';
const main = `${module}/cmd/temporal`;
/** Since 1.6 the CLI's go.mod replaces cliext by a folder, which `go install` refuses to follow. */
const cliext = `${module}/cliext`;
const cliextVersion = 'v0.0.0-20260731000218-c579925f193f';

export const temporalAdvice = `the Temporal server: put "temporal" ${fallbackTemporalVersion} or \
newer on the PATH
    (https://docs.temporal.io/cli), or install Go 1.26 or newer and run this again.`;

export async function installTemporal() {
  const folder = temporalCacheFolder();
  await mkdir(folder, { recursive: true });
  await whileLocked(folder, async () => {
    if (await findTemporalBinary()) return;
    await removeLeftovers(folder);
    const scratch = await mkdtemp(join(folder, 'making-'));
    try {
      await obtain(folder, scratch);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
}

/** A set-up that was killed leaves its scratch folder; we hold the lock, so it is unused. */
async function removeLeftovers(folder) {
  for (const name of await readdir(folder)) {
    if (name.startsWith('making-')) await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function obtain(folder, scratch) {
  const reasons = [];
  for (const attempt of [download, buildNewest, installOlder]) {
    try {
      const { file, version } = await attempt(scratch);
      if (!(await answersAsTemporal(file))) throw new CannotDo(`${file} --version does not answer`);
      await chmod(file, 0o755);
      await rename(file, join(folder, `temporal-${version}`));
      say(`the Temporal server is in ${join(folder, `temporal-${version}`)}.`);
      return;
    } catch (error) {
      reasons.push(`${attempt.name}: ${error.message}`);
    }
  }
  throw new CannotDo(`${temporalAdvice}\n    Tried here:\n    ${reasons.join('\n    ')}`);
}

async function download(scratch) {
  const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch];
  if (!arch) throw new CannotDo(`no download for ${process.arch}`);
  const url = `https://temporal.download/cli/archive/v${temporalVersion}?platform=linux`;
  const archive = join(scratch, 'temporal.tar.gz');
  const giveUp = new AbortController();
  // Offline is known at once or after these seconds; the body may take its time.
  const timer = setTimeout(() => giveUp.abort(new CannotDo('no answer within 8 s')), 8000);
  try {
    say(`looking for the download of the Temporal server ${temporalVersion} (about 1 min).`);
    const response = await fetch(`${url}&arch=${arch}`, { signal: giveUp.signal });
    if (!response.ok || !response.body) throw new CannotDo(`HTTP ${response.status} from ${url}`);
    clearTimeout(timer);
    const limit = AbortSignal.timeout(600_000);
    await pipeline(Readable.fromWeb(response.body), createWriteStream(archive), { signal: limit });
  } catch (error) {
    say('no download from here; a Go build instead.');
    throw new CannotDo(`${error.cause?.message ?? error.message} (${url})`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
  await run('tar', ['-xzf', archive, '-C', scratch, 'temporal']);
  return { file: join(scratch, 'temporal'), version: temporalVersion };
}

/** The scratch folder's own settings; what the user has about proxies stays. */
export const goEnv = () => ({
  ...process.env,
  GOFLAGS: '-mod=mod -buildvcs=false',
  GOWORK: 'off',
  CGO_ENABLED: '0',
});

/** @throws CannotDo when Go is older than 1.`minor` and may not fetch a newer one */
export async function needGo(minor) {
  const settings = await run('go', ['env', 'GOVERSION', 'GOTOOLCHAIN'], { cwd: '/' }).catch(() => {
    throw new CannotDo('Go is not installed');
  });
  const [version = '', toolchain = ''] = settings.stdout.trim().split('\n');
  const has = Number(/^go1\.(\d+)/.exec(version)?.[1] ?? 0);
  const fetchesNewer = has >= 21 && !toolchain.startsWith('local');
  if (has < minor && !fetchesNewer) throw new CannotDo(`needs Go 1.${minor}, this is ${version}`);
}

async function buildNewest(scratch) {
  await needGo(26);
  say(`building the Temporal server ${temporalVersion} with Go, once (3 to 8 min on two cores).`);
  const goMod = `module blockflow.invalid/temporal
go 1.26.0
require ${module} v${temporalVersion}
replace ${cliext} => ${cliext} ${cliextVersion}
`;
  await writeFile(join(scratch, 'go.mod'), goMod);
  await writeFile(join(scratch, 'tools.go'), `package tools\n\nimport _ "${main}"\n`);
  const options = { cwd: scratch, env: goEnv() };
  await runShowing('fetching the Go modules', 'go', ['mod', 'tidy'], options);
  const file = join(scratch, 'temporal-built');
  const stamp = `-s -w -X ${module}/internal/temporalcli.Version=${temporalVersion}`;
  const args = ['build', '-ldflags', stamp, '-o', file, main];
  await runShowing('compiling the Temporal server', 'go', args, options);
  return { file, version: temporalVersion };
}

async function installOlder(scratch) {
  await needGo(25);
  say(`building the Temporal server ${fallbackTemporalVersion} with Go, once (3 to 8 min).`);
  const options = { cwd: scratch, env: { ...goEnv(), GOBIN: scratch } };
  const args = ['install', `${main}@v${fallbackTemporalVersion}`];
  await runShowing('compiling the Temporal server', 'go', args, options);
  return { file: join(scratch, 'temporal'), version: fallbackTemporalVersion };
}
