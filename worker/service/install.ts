/** Puts a unit of blockflow in place, and away. */
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa, type ExecaError } from 'execa';
import { childEnvironment } from '../../activities/adapters/process/environment.ts';
import { writeWhole } from '../../activities/adapters/files/files.ts';
import { ownStateDir, SERVICE_STATE } from '../environment/config.ts';
import { cacheFolder } from '../environment/temporal-search.mjs';
import { NoService, SystemctlFailed } from './no-service.ts';
import { assertStateMoved } from './old-state.ts';
import { unitName, unitOf, type Served } from './unit.ts';

export const UNITS = '/etc/systemd/system';

export interface Installed {
  path: string;
  /** False where systemd does not run, so that nothing is started. */
  isStarting: boolean;
}

const systemdRuns = () => existsSync('/run/systemd/system');
const systemctl = async (...words: string[]) => {
  try {
    await execa('systemctl', words, { env: childEnvironment(), extendEnv: false });
  } catch (error) {
    const { stderr, shortMessage } = error as ExecaError<object>;
    throw new SystemctlFailed(String(stderr || shortMessage), { cause: error });
  }
};

/**
 * Writes the unit, and has systemd start it now, with these options if it runs, and at each boot.
 * @param command what it runs
 * @throws NoService, SystemctlFailed
 */
export async function installService(
  served: Served,
  command: readonly string[],
  units = UNITS,
): Promise<Installed> {
  assertAllowed(units);
  if (served === 'up' && units === UNITS) assertStateMoved(ownStateDir(), SERVICE_STATE);
  const path = join(units, unitName(served));
  const text = unitOf({ served, command, cacheHome: dirname(cacheFolder()) });
  await mkdir(units, { recursive: true });
  await writeWhole(path, text, { ifThere: 'replace', mode: 0o644 });
  const isStarting = units === UNITS && systemdRuns();
  if (isStarting) {
    await systemctl('daemon-reload');
    await systemctl('enable', unitName(served));
    // It is ready once libvirt and Temporal answer, which may be long after this command.
    await systemctl('restart', '--no-block', unitName(served));
  }
  return { path, isStarting };
}

/**
 * Ends it, and removes the unit. State and audit log stay, and what outlives an agent goes on.
 * @throws NoService, SystemctlFailed
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
