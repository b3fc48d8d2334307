/**
 * Makes a fresh clone ready: operating system packages, npm packages, the Temporal server binary.
 * Runs before every npm script, so it is silent and quick when nothing is missing.
 * `--check` only reports.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { whileLocked } from './setup/lock.mjs';
import {
  installNpmPackages,
  npmPackagesAreThere,
  stampNpmPackages,
} from './setup/npm-packages.mjs';
import { installLinuxGuest, linuxGuestAdvice, linuxGuestIsThere } from './setup/linux-guest.mjs';
import { CannotDo, say } from './setup/say.mjs';
import {
  installSystemPackages,
  missingCommands,
  splitOffSnaps,
  systemAdvice,
} from './setup/system-packages.mjs';
import { installTemporal, temporalAdvice } from './setup/temporal-server.mjs';
import { findTemporalBinary } from './worker/environment/temporal-search.mjs';

const root = dirname(fileURLToPath(import.meta.url));

async function look() {
  const [commands, temporal] = await Promise.all([missingCommands(), findTemporalBinary()]);
  const [npm, guest] = [npmPackagesAreThere(root), linuxGuestIsThere(root)];
  return { ...splitOffSnaps(commands), npm, temporal, guest };
}

function report({ missing, npm, temporal, guest, hints }) {
  const problems = [];
  if (missing.length > 0) problems.push(systemAdvice(missing));
  if (!npm) problems.push('the npm packages: run "node setup.mjs" or "npm ci".');
  if (!temporal) problems.push(temporalAdvice);
  if (!guest) problems.push(linuxGuestAdvice);
  for (const hint of hints) say(hint);
  if (problems.length === 0) say(`nothing is missing. Temporal server: ${temporal}`);
  return problems;
}

/** Each step runs even where an earlier one failed, so that one run names all that is missing. */
async function fix({ missing, npm, temporal, hints }) {
  const problems = [];
  const attempt = async (step) => {
    try {
      await step();
    } catch (error) {
      problems.push(error instanceof CannotDo ? error.message : error.stack);
    }
  };
  if (missing.length > 0) await attempt(() => installSystemPackages(missing));
  if (!npm) {
    await attempt(() =>
      whileLocked(join(root, 'package-lock.json'), async () => {
        if (!npmPackagesAreThere(root)) await installNpmPackages(root);
      }),
    );
  } else stampNpmPackages(root);
  if (!temporal) await attempt(installTemporal);
  // After npm, which removes what is not its own.
  if (!linuxGuestIsThere(root)) await attempt(() => installLinuxGuest(root));
  for (const hint of hints) say(hint);
  return problems;
}

async function main() {
  if (process.platform !== 'linux') return ['blockflow needs Linux with libvirt and QEMU.'];
  if (Number(process.versions.node.split('.')[0]) < 20) {
    return [`Node 20 or newer (this is ${process.version}).`];
  }
  const found = await look();
  if (process.argv.includes('--check')) return report(found);
  const start = Date.now();
  const problems = await fix(found);
  const { missing, npm, temporal, guest } = found;
  const complete = missing.length === 0 && npm && temporal && guest;
  const seconds = Math.round((Date.now() - start) / 1000);
  if (!complete && problems.length === 0) say(`done, in ${seconds} s.`);
  return problems;
}

const problems = await main();
if (problems.length > 0) {
  say(`missing here (${problems.length}):`);
  for (const problem of problems) process.stdout.write(`  - ${problem}\n`);
  process.exitCode = 1;
}
