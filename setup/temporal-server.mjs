/**
 * Step 3: the Temporal server binary, into the cache: the official download, else a Go build. Both
 * are known by their hashes before anything of them runs (setup/temporal/ has those of the build).
 */
import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  answersAsTemporal,
  fallbackTemporalVersion,
  findTemporalBinary,
  temporalCacheFolder,
  temporalVersion,
} from '../worker/environment/temporal-search.mjs';
import { whileLocked } from './lock.mjs';
import { fetchPinned } from './pinned.mjs';
import { CannotDo, runShowing, say } from './say.mjs';

const run = promisify(execFile);
const module = 'github.com/temporalio/cli';
const main = `${module}/cmd/temporal`;
const downloads = 'https://temporal.download/cli/archive';
/** Of the release's checksums.txt, for Node's names of the processors. */
const archives = {
  x64: ['amd64', 'd8421bda989e6514b4bdb4d63a9012a8a05a806892e881a5aad8510496349a94'],
  arm64: ['arm64', '83600a8fac6e3da54093e5da6918d399f501532b9f1172235603f9606f4ac6e4'],
};

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
  for (const attempt of [download, buildNewest, buildOlder]) {
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
  const archive = archives[process.arch];
  if (!archive) throw new CannotDo(`no download for ${process.arch}`);
  const [arch, sha256] = archive;
  const url = `${downloads}/v${temporalVersion}?platform=linux&arch=${arch}`;
  const file = join(scratch, 'temporal.tar.gz');
  say(`looking for the download of the Temporal server ${temporalVersion} (about 1 min).`);
  await fetchPinned(url, file, sha256);
  await run('tar', ['-xzf', file, '-C', scratch, 'temporal']);
  return { file: join(scratch, 'temporal'), version: temporalVersion };
}

/** Settings of the user about proxies stay; those that would change the modules do not. */
export const goEnv = () => ({
  ...process.env,
  GOFLAGS: '-mod=readonly -buildvcs=false -trimpath',
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

const buildNewest = (scratch) => build(scratch, temporalVersion, 26);
const buildOlder = (scratch) => build(scratch, fallbackTemporalVersion, 25);

/** Each module has the hash that our go.sum names, or Go refuses it. */
async function build(scratch, version, minor) {
  await needGo(minor);
  say(`building the Temporal server ${version} with Go, once (3 to 8 min on two cores).`);
  const tree = join(scratch, version);
  const modules = fileURLToPath(new URL(`temporal/${version}`, import.meta.url));
  await cp(modules, tree, { recursive: true });
  const file = join(scratch, `temporal-built-${version}`);
  const stamp = `-s -w -X ${module}/internal/temporalcli.Version=${version}`;
  const args = ['build', '-ldflags', stamp, '-o', file, main];
  const options = { cwd: tree, env: goEnv() };
  await runShowing('compiling the Temporal server', 'go', args, options);
  return { file, version };
}
