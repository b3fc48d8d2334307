/** `--install` and `--uninstall` of what runs as a service. */
import { fileURLToPath } from 'node:url';
import type { Served } from '../../../../worker/service/unit.ts';
import { BlockflowError } from '../../../library/failure.ts';
import type { Screen } from '../../screen.ts';

export interface ServiceOptions {
  install?: true;
  uninstall?: true;
}

export const INSTALL_OPTION = [
  '--install',
  'run it as a systemd service with these options, now and at each boot',
] as const;
export const UNINSTALL_OPTION = ['--uninstall', 'end and remove that service'] as const;

/** @returns the exit code, or null when the command itself is wanted */
export async function serviceAsked(
  screen: Screen,
  served: Served,
  { install, uninstall }: ServiceOptions,
): Promise<number | null> {
  if (!install && !uninstall) return null;
  const service = await import('../../../../worker/service/install.ts');
  const { NoService, SystemctlFailed } = await import('../../../../worker/service/no-service.ts');
  try {
    if (uninstall) {
      const path = await service.uninstallService(served);
      screen.print(`${path} is removed; state and audit log stay in /var/lib/blockflow`);
    } else {
      const { path, isStarting } = await service.installService(served, commandOf());
      const log = `journalctl -u blockflow-${served}`;
      const starts = isStarting ? `it starts; see ${log}` : 'systemd does not run here';
      screen.print(`${path} is in place; ${starts}`);
      screen.print('  its state  /var/lib/blockflow; variables: /etc/blockflow/environment');
    }
    return 0;
  } catch (error) {
    if (error instanceof NoService) throw noService(served, error, error.next);
    if (error instanceof SystemctlFailed) throw systemctlFailed(served, error);
    throw error;
  }
}

/** As it was typed, by the Node that runs it now. */
function commandOf(): string[] {
  const launcher = fileURLToPath(import.meta.url).replace(/(dist\/)?client\/cli\/.*$/, '');
  const words = process.argv.slice(2).filter((word) => word !== INSTALL_OPTION[0]);
  return [process.execPath, `${launcher}client/blockflow.mjs`, ...words];
}

function noService(served: Served, error: Error, next: string | null): BlockflowError {
  const details = {
    code: 'no-service' as const,
    attempted: `changing the service blockflow-${served}`,
    now: `${error.message}; nothing was changed`,
    next:
      next ?? 'Run it as root where the service is; `systemctl list-units blockflow-*` shows them',
  };
  return new BlockflowError('Refused', details, error);
}

function systemctlFailed(served: Served, error: Error): BlockflowError {
  const command = served === 'up' ? 'up' : `worker ${served}`;
  const details = {
    code: 'no-service' as const,
    attempted: `changing the service blockflow-${served}`,
    now: `its unit is there, but systemctl fails: ${error.message}`,
    next:
      `Look with \`systemctl status blockflow-${served}\`, and repeat the command; ` +
      `\`blockflow ${command} --uninstall\` removes the unit`,
  };
  return new BlockflowError('Retry', details, error);
}
