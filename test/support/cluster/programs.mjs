/**
 * The programs of a Temporal cluster: server and SQL tool, built from the server's Go module once
 * and kept in the cache, and the system's PostgreSQL. Needs root, Go and Debian's package mirror.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { whileLocked } from '../../../setup/lock.mjs';
import { CannotDo, runShowing, say } from '../../../setup/say.mjs';
import { goEnv, needGo } from '../../../setup/temporal-server.mjs';
import { cacheFolder } from '../../../worker/environment/temporal-search.mjs';

/** The server that is in the CLI which set-up installs. */
const version = '1.31.2';
const module = 'go.temporal.io/server';
/** What Go calls them, by the names that they have at Temporal's own. */
const built = { 'temporal-server': 'server', 'temporal-sql-tool': 'sql' };

const folder = join(cacheFolder(), 'cluster', version);
/** Where Debian has one folder for each release of PostgreSQL. */
const postgresReleases = '/usr/lib/postgresql';

export const clusterPrograms = {
  server: join(folder, 'temporal-server'),
  sqlTool: join(folder, 'temporal-sql-tool'),
};

/** Folder of the newest PostgreSQL's programs, undefined when there is none. */
export function postgresFolder() {
  if (!existsSync(postgresReleases)) return undefined;
  const releases = readdirSync(postgresReleases).sort((a, b) => Number(b) - Number(a));
  const folders = releases.map((release) => join(postgresReleases, release, 'bin'));
  return folders.find((bin) => existsSync(join(bin, 'initdb')));
}

/** Does nothing where all is there. */
export async function installClusterPrograms() {
  if (process.getuid?.() !== 0) throw new CannotDo('a cluster needs root, for PostgreSQL’s user');
  if (!postgresFolder()) await installPostgres();
  await mkdir(folder, { recursive: true });
  await whileLocked(folder, async () => {
    if (Object.values(clusterPrograms).every((file) => existsSync(file))) return;
    await build();
  });
}

/** Without the database cluster that Debian makes and starts with the package. */
async function installPostgres() {
  const apt = ['-qq', '-y', '-o', 'DPkg::Lock::Timeout=600', 'install', '--no-install-recommends'];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = (name) => runShowing(`installing ${name}`, 'apt-get', [...apt, name], { env });
  await install('postgresql-common');
  const setting = ['/etc/postgresql-common/createcluster.conf', 'set', 'create_main_cluster'];
  const { status, stderr } = spawnSync('pg_conftool', [...setting, 'off'], { encoding: 'utf8' });
  if (status !== 0) throw new CannotDo(`pg_conftool ended with ${status}: ${stderr}`);
  await install('postgresql');
}

async function build() {
  await needGo(26);
  say(`building the Temporal server ${version} with Go, once (3 to 8 min on two cores).`);
  const scratch = await mkdtemp(join(folder, 'making-'));
  try {
    const options = { cwd: scratch, env: { ...goEnv(), GOBIN: scratch } };
    const mains = [`${module}/cmd/server@v${version}`, `${module}/cmd/tools/sql@v${version}`];
    const args = ['install', '-ldflags', '-s -w', ...mains];
    await runShowing('compiling the Temporal server', 'go', args, options);
    for (const [name, from] of Object.entries(built)) {
      await rename(join(scratch, from), join(folder, name));
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
