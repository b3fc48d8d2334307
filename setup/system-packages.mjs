/** Step 1: the operating system's packages, by the commands that they bring. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { isExecutable } from '../worker/environment/temporal-search.mjs';
import { whileLocked } from './lock.mjs';
import { CannotDo, runShowing, say } from './say.mjs';

const packageOfCommand = {
  'qemu-system-x86_64': 'qemu-system-x86',
  'qemu-img': 'qemu-utils',
  'qemu-storage-daemon': 'qemu-block-extra',
  libvirtd: 'libvirt-daemon-system',
  virsh: 'libvirt-clients',
  nasm: 'nasm',
  shellcheck: 'shellcheck',
  losetup: 'mount',
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.xfs': 'xfsprogs',
  nbdcopy: 'libnbd-bin',
  openssl: 'openssl',
  ip: 'iproute2',
  strace: 'strace',
  'systemd-analyze': 'systemd',
  perl: 'perl-base',
  chromium: 'chromium',
};
/** One of them missing means all: qemu-block-extra, for one, brings no command of its own. */
const qemuAndLibvirt = Object.values(packageOfCommand).slice(0, 5);

/** Daemons are in the sbin folders, which an ordinary user's PATH may lack. */
async function isCommand(name) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  for (const folder of [...folders, '/usr/local/sbin', '/usr/sbin', '/sbin']) {
    if (await isExecutable(join(folder, name))) return true;
  }
  return false;
}

async function isChromium() {
  const { CHROMIUM_PATH } = process.env;
  if (CHROMIUM_PATH) return isExecutable(CHROMIUM_PATH);
  return (await isCommand('chromium')) || (await isCommand('chromium-browser'));
}

export async function missingCommands() {
  const names = Object.keys(packageOfCommand);
  const there = await Promise.all(
    names.map((name) => (name === 'chromium' ? isChromium() : isCommand(name))),
  );
  return names.filter((_, index) => !there[index]);
}

function readDistribution() {
  try {
    const text = readFileSync('/etc/os-release', 'utf8');
    const field = (key) => new RegExp(`^${key}="?([^"\n]*)`, 'm').exec(text)?.[1] ?? '';
    const ids = `${field('ID')} ${field('ID_LIKE')}`.split(' ');
    return { name: field('PRETTY_NAME'), isDebian: ids.includes('debian'), ids };
  } catch {
    return { name: process.platform, isDebian: false, ids: [] };
  }
}

/** Ubuntu's chromium is a snap, which a script cannot count on: only the Web UI test wants it. */
export function splitOffSnaps(missing) {
  const isUbuntu = readDistribution().ids.includes('ubuntu');
  const hints = isUbuntu && missing.includes('chromium') ? [chromiumHint] : [];
  return { missing: missing.filter((name) => !(isUbuntu && name === 'chromium')), hints };
}
const chromiumHint =
  'no Chromium, so the Web UI test will fail. On Ubuntu it is a snap: ' +
  '"snap install chromium", or set CHROMIUM_PATH to any Chromium or Chrome.';

function packagesFor(missing) {
  const packages = missing.map((name) => packageOfCommand[name]);
  const partial = packages.some((name) => qemuAndLibvirt.includes(name));
  return [...new Set([...(partial ? qemuAndLibvirt : []), ...packages])];
}

/** The words for users who have to install by hand. */
export function systemAdvice(missing) {
  const packages = packagesFor(missing).join(' ');
  const { name, isDebian } = readDistribution();
  const lead = `commands not found: ${missing.join(', ')}.`;
  if (isDebian) {
    return `${lead} Install them as root:
    apt-get update && apt-get install --no-install-recommends ${packages}`;
  }
  return `${lead} ${name || 'This system'} is neither Debian nor Ubuntu: install the packages
    that bring these commands (on Debian: ${packages}).`;
}

/** The words to put before a command so that it runs as root, or undefined where nothing helps. */
async function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  if (!(await isCommand('sudo'))) return undefined;
  const silent = await new Promise((resolve) => {
    execFile('sudo', ['-n', 'true'], (error) => resolve(!error));
  });
  if (silent) return ['sudo', '-n'];
  return process.stdin.isTTY ? ['sudo'] : undefined;
}

/** @param {string[]} missing */
export async function installSystemPackages(missing) {
  if (!readDistribution().isDebian) throw new CannotDo(systemAdvice(missing));
  const prefix = await rootPrefix();
  if (!prefix) throw new CannotDo(`${systemAdvice(missing)}\n    (neither root nor sudo here)`);
  await whileLocked('/var/lib/dpkg', async () => {
    const now = splitOffSnaps(await missingCommands()).missing;
    if (now.length > 0) await aptInstall(prefix, now);
  });
  const still = splitOffSnaps(await missingCommands()).missing;
  if (still.length > 0) {
    throw new CannotDo(`${systemAdvice(still)}\n    (apt-get ended well, yet they are not there)`);
  }
}

/** What Debian's archive has not signed is not used, whatever the settings of the user say. */
export const signedOnly = ['-o', 'APT::Get::AllowUnauthenticated=false'];

async function aptInstall(prefix, missing) {
  const packages = packagesFor(missing);
  say(`installing ${packages.join(' ')} (about 2 min).`);
  // apt waits for another apt by itself; env, because sudo drops variables.
  const apt = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', '-y', ...signedOnly];
  const [command, ...args] = [...prefix, ...apt, '-o', 'DPkg::Lock::Timeout=600'];
  try {
    await runShowing('reading the package lists', command, [...args, 'update']).catch(() => {});
    const install = [...args, 'install', '--no-install-recommends', ...packages];
    await runShowing('installing packages', command, install);
  } catch (error) {
    throw new CannotDo(`${systemAdvice(missing)}\n    Here ${error.message}`, { cause: error });
  }
}
