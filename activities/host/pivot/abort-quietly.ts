/** The end of a job without a pivot. */
import { CommandError } from '../../adapters/process/command.ts';
import type { HostDeps } from '../deps.ts';
import type { DiskSwitch } from './disk-switch.ts';

/**
 * "No active block job" and "still being ended" mean that the job ends without us; the next look
 * tells how.
 */
export async function abortQuietly(
  { libvirt }: HostDeps,
  { vmUuid, disk }: Pick<DiskSwitch, 'vmUuid' | 'disk'>,
): Promise<void> {
  await libvirt.abortJob(vmUuid, disk).catch((error: unknown) => {
    const ended = /does not have an active block job|is still being ended|not running/;
    if (!(error instanceof CommandError && ended.test(error.stderr))) throw error;
  });
}
