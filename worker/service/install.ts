/** Puts a unit of blockflow in place, and away. */
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { writeWhole } from '../../activities/adapters/files/files.ts';
import { cacheFolder } from '../environment/temporal-search.mjs';
import { unitName, unitOf, type Served } from './unit.ts';

export const UNITS = '/etc/systemd/system';

/** Nothing was changed. */
export class NoService extends Error {
  override readonly name = 'NoService';
}

export interface Installed {
  path: string;
  /** False where systemd does not run, so that nothing was started. */
  isRunning: boolean;
}

const systemdRuns = () => existsSync('/run/systemd/system');
const systemctl = (...words: string[]) => execa('systemctl', words);

/**
 * Writes the unit, and has systemd start it now and at each boot.
 * @param command what it runs
 * @throws NoService
 */
export async function installService(
  served: Served,
  command: readonly string[],
  units = UNITS,
): Promise<Installed> {
  assertAllowed(units);
  const path = join(units, unitName(served));
  const text = unitOf({ served, command, cacheHome: dirname(cacheFolder()) });
  await mkdir(units, { recursive: true });
  await writeWhole(path, text, { ifThere: 'replace', mode: 0o644 });
  const isRunning = units === UNITS && systemdRuns();
  if (isRunning) {
    await systemctl('daemon-reload');
    await systemctl('enable', '--now', unitName(served));
  }
  return { path, isRunning };
}

/**
 * Ends it, and removes the unit. State and audit log stay, and what outlives an agent goes on.
 * @throws NoService
 */
export async function uninstallService(served: Served, units = UNITS): Promise<string> {
  assertAllowed(units);
  const path = join(units, unitName(served));
  if (!existsSync(path)) throw new NoService(`there is no ${path}`);
  const isRunning = units === UNITS && systemdRuns();
  if (isRunning) await systemctl('disable', '--now', unitName(served));
  await rm(path);
  if (isRunning) await systemctl('daemon-reload');
  return path;
}

function assertAllowed(units: string): void {
  if (units === UNITS && process.getuid?.() !== 0) {
    throw new NoService(`only root may write ${UNITS}`);
  }
}
