/**
 * Activities of the host agent: they run on the VM's hypervisor, with the right to its libvirt
 * socket.
 */
import { presenceActivities } from '../door/observe-presence.ts';
import { chainActivities } from './chain/index.ts';
import type { HostDeps } from './deps.ts';
import { mergeActivities } from './merge/index.ts';
import { poolsActivities } from './pools/index.ts';
import { removalActivities } from './removal/index.ts';
import { snapshotActivities } from './snapshot/index.ts';
import { insideActivities } from './snapshot/inside/index.ts';
import { snapshotDeletionActivities } from './snapshot/delete/index.ts';
import { revertActivities } from './snapshot/revert/index.ts';
import { snapshotListActivities } from './snapshot/list/index.ts';
import { disksActivities, transferActivities } from './transfer/index.ts';

export const createHostActivities = (deps: HostDeps) => ({
  ...presenceActivities,
  ...chainActivities(deps),
  ...poolsActivities(deps),
  ...mergeActivities(deps),
  ...transferActivities(deps),
  ...disksActivities(deps),
  ...removalActivities(deps),
  ...snapshotActivities(deps),
  ...snapshotListActivities(deps),
  ...snapshotDeletionActivities(deps),
  ...insideActivities(deps),
  ...revertActivities(deps),
});
export type HostActivities = ReturnType<typeof createHostActivities>;
