/**
 * `npm run test:releases [-- RELEASE] [-- arguments of test/run.mjs]`: the real tests on another
 * release of Debian, which brings another libvirt and QEMU. Its root is made once by debootstrap
 * below BLOCKFLOW_RELEASES (default ~/.cache/blockflow/releases), and kept. Needs root and
 * Debian's package mirror.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findTemporalBinary } from '../../worker/environment/temporal-search.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const project = dirname(dirname(here));
const releases = process.env.BLOCKFLOW_RELEASES ?? join(homedir(), '.cache/blockflow/releases');
const KNOWN = ['bookworm', 'trixie'];

const args = process.argv.slice(2).filter((arg) => arg !== '--');
const isRelease = KNOWN.includes(args[0]);
const release = isRelease ? args[0] : 'trixie';
const given = args.slice(isRelease ? 1 : 0);
/** What depends on libvirt, QEMU and the system; not the package, which npm makes. */
const usual = ['test/real', 'test/crash', '--testPathIgnorePatterns=client/package'];
const tests = given.length > 0 ? given : usual;
/** Parts of libvirt that tests use, and that Debian 12 has in its main package. */
const FURTHER = ['libvirt-daemon-driver-storage-mpath', 'libvirt-daemon-lock'];

/** @throws with the command's words once it failed */
function run(command, ...rest) {
  const { status, error } = spawnSync(command, rest, { stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ended with ${status}`);
}

/** Where this machine gets its packages. */
function mirror() {
  const lists = ['/etc/apt/sources.list', '/etc/apt/sources.list.d/debian.sources'];
  const text = lists.map((file) => (existsSync(file) ? readFileSync(file, 'utf8') : '')).join('\n');
  const [, url] = /^(?:URIs:|deb)\s+(?:\[.*?\]\s+)?(https?:\S+debian\/?)(?:\s|$)/m.exec(text) ?? [];
  return url ?? 'http://deb.debian.org/debian';
}

function makeRoot(root) {
  if (!existsSync('/usr/sbin/debootstrap')) {
    run('apt-get', '-qq', '-y', 'install', '--no-install-recommends', 'debootstrap');
  }
  mkdirSync(releases, { recursive: true });
  const draft = `${root}.draft`;
  rmSync(draft, { recursive: true, force: true });
  run('debootstrap', '--variant=minbase', '--include=ca-certificates', release, draft, mirror());
  renameSync(draft, root);
}

const temporal = await findTemporalBinary();
if (!temporal) throw new Error('no Temporal server: run "node setup.mjs" first');
const root = join(releases, release);
if (!existsSync(root)) makeRoot(root);
const inRoot = (...command) =>
  run(
    'unshare',
    ...['--mount', '--propagation', 'private', 'bash', join(here, 'in-root.bash')],
    ...[root, project, temporal, ...command],
  );
inRoot('node', 'setup.mjs');
if (release !== 'bookworm') {
  inRoot('apt-get', '-qq', '-y', 'install', '--no-install-recommends', ...FURTHER);
}
inRoot('sh', '-c', 'libvirtd --version; qemu-system-x86_64 --version | head -1');
inRoot('node', 'test/run.mjs', ...tests);
