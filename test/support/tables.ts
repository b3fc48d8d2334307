/** Every activity as it is declared, by the agent that serves it; and every request by its type. */
import type { z } from 'zod';
import { chainOnHost } from '../../workflows/chain/activities.ts';
import { diskRef } from '../../workflows/chain/references.ts';
import { kinds } from '../../workflows/kinds.ts';
import { mergeOnHost } from '../../workflows/merge/activities.ts';
import { liveMergeInput } from '../../workflows/merge/request.ts';
import { presence } from '../../workflows/operation/activities.ts';
import { orchestratorActivities } from '../../workflows/operation/audit/audit.ts';
import { auditFilter } from '../../workflows/operation/audit/audit-filter.ts';
import { poolsOnHost, poolsOnStorage } from '../../workflows/pools/activities.ts';
import { hostQuestion } from '../../workflows/pools/questions.ts';
import { removalOnHost } from '../../workflows/removal/activities.ts';
import { removeImageInput } from '../../workflows/removal/request.ts';
import { snapshotOnHost, snapshotOnStorage } from '../../workflows/snapshot/create/activities.ts';
import { createSnapshotInput } from '../../workflows/snapshot/create/request.ts';
import { heldDisk } from '../../workflows/snapshot/disk-locks.ts';
import { snapshotDeletionOnHost } from '../../workflows/snapshot/delete/activities.ts';
import { deleteSnapshotInput } from '../../workflows/snapshot/delete/request.ts';
import { insideOnHost } from '../../workflows/snapshot/inside/activities.ts';
import { revertOnHost, revertOnStorage } from '../../workflows/snapshot/revert/activities.ts';
import { expiry } from '../../workflows/snapshot/revert/expire-reverted.ts';
import { revertSnapshotInput } from '../../workflows/snapshot/revert/request.ts';
import { snapshotListOnHost } from '../../workflows/snapshot/list/activities.ts';
import { snapshotQuestion } from '../../workflows/snapshot/list/request.ts';
import { transferOnHost, transferOnStorage } from '../../workflows/transfer/activities.ts';
import { disksOnHost } from '../../workflows/transfer/disks/activities.ts';
import { moveDisksInput } from '../../workflows/transfer/disks/request.ts';
import { planRequest } from '../../workflows/transfer/request.ts';

export const tables = {
  host: {
    ...presence,
    ...chainOnHost,
    ...poolsOnHost,
    ...mergeOnHost,
    ...transferOnHost,
    ...disksOnHost,
    ...removalOnHost,
    ...snapshotOnHost,
    ...snapshotListOnHost,
    ...snapshotDeletionOnHost,
    ...insideOnHost,
    ...revertOnHost,
  },
  storage: {
    ...presence,
    ...poolsOnStorage,
    ...transferOnStorage,
    ...snapshotOnStorage,
    ...revertOnStorage,
  },
  orchestrator: orchestratorActivities,
};

/** Of zod or of zod/mini: what tests read of a schema is the same. */
export type Schema = z.core.$ZodType & {
  safeParse(value: unknown): { success: boolean; data?: unknown; error?: z.core.$ZodError };
};

/** Of these the id is a lock. */
export const operationRequests: Record<string, Schema> = Object.fromEntries(
  Object.entries(kinds).map(([name, kind]) => [name, kind.request]),
);
export const questionRequests: Record<string, Schema> = {
  ExpireReverted: expiry,
  HoldDisk: heldDisk,
  ListSnapshots: snapshotQuestion,
  ObserveChain: diskRef,
  ObserveEvents: auditFilter,
  ObserveLeases: hostQuestion,
  PlanDisks: moveDisksInput,
  PlanImage: planRequest,
  PlanMerge: liveMergeInput,
  PlanRevert: revertSnapshotInput,
  PlanRemoval: removeImageInput,
  PlanSnapshot: createSnapshotInput,
  PlanSnapshotDeletion: deleteSnapshotInput,
};
