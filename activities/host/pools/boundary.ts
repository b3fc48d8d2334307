/**
 * I16 on a hypervisor: an activity is for the host that it is about, and before one with effects
 * begins, what it names is looked at again by this agent's own libvirt and file system, whatever
 * plan it is given. (The SPM agent's is storage/volumes/pool-boundary.ts.)
 */
import { dirname, join } from 'node:path';
import { hold } from '../../../workflows/operation/failures.ts';
import { canonical, isRegularOrMissing, observeFile } from '../../adapters/files/files.ts';
import { isFilePool, observePools, poolNeeded, poolOf } from '../../adapters/virsh/pools.ts';
import type { Guard, Intent } from '../../door/implement.ts';
import { assertOwn, OWN_FOLDER } from '../../pool-folder/own-folder.ts';
import { reservationFolder } from '../../pool-folder/reservation.ts';
import type { HostDeps } from '../deps.ts';

/** The guard of this host's activities. */
export const guardOf =
  ({ libvirt, host }: HostDeps): Guard =>
  async (intent) => {
    const { volumes, folders, hosts } = intent;
    const other = hosts.find((named) => named !== host);
    if (other !== undefined) throw misdirected(intent, other, host);
    if (volumes.length + folders.length === 0) return;
    // Also those that are stopped just now: what is begun must come to its end.
    const pools = (await observePools(libvirt, 'all')).filter(isFilePool);
    // A folder that is not there may be a pool behind a link that is not mounted: the step waits.
    for (const path of new Set(volumes)) {
      if (poolOf(pools, path)) await assertPlain(intent, path);
      else if (await observeFile(dirname(path))) throw outside(intent, path);
    }
    for (const folder of new Set(folders)) {
      if (pools.some((pool) => pool.folder === folder)) await assertOwnFolders(intent, folder);
      else if (await observeFile(folder)) throw outside(intent, folder);
    }
  };

const attempt = ({ activity }: Intent) => `step ${activity}`;

/** A link, a device or a fifo may lead anywhere. A file that is not there is the step's matter. */
async function assertPlain(intent: Intent, path: string): Promise<void> {
  const leadsTo = await canonical(path);
  if (leadsTo === path && (await isRegularOrMissing(path))) return;
  throw hold('unproven', {
    attempted: attempt(intent),
    now:
      leadsTo === path
        ? `${path} is no regular file; nothing was touched`
        : `${path} leads to ${leadsTo} by a link, which it did not when it was planned`,
    next: 'See who changed it, bring the file back, then repeat the request',
  });
}

async function assertOwnFolders({ jobId }: Intent, folder: string): Promise<void> {
  await assertOwn(join(folder, OWN_FOLDER));
  if (jobId !== null) await assertOwn(reservationFolder(folder, jobId));
}

/** A plan binds the agent that has made it, and no other one. */
const misdirected = (intent: Intent, named: string, host: string) =>
  hold('unproven', {
    attempted: attempt(intent),
    now: `it is about host ${named}, and came to the agent of ${host}; nothing was touched`,
    next: 'Find out who else uses this Temporal namespace, then repeat the request',
  });

const outside = (intent: Intent, path: string) =>
  hold('unproven', {
    attempted: attempt(intent),
    now: `${path} is not in any storage pool of this host; nothing was touched`,
    next: `${poolNeeded(path)}, then repeat the request`,
  });
