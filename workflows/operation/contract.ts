/**
 * The contract of every operation: queues, search attributes, status, updates. Effect-free,
 * imported by client, workers and tests; with the kinds (`kinds.ts`) it is the public API.
 */
import { defineSignal, defineUpdate } from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import { UUID } from './names.ts';

export const ORCHESTRATOR_QUEUE = 'blockflow';
/** Queue of the agent on a hypervisor; only that host's agent serves it. */
export const hostQueue = (host: string) => `host-${host}`;
/** A volume in a pool, or a pool's folder; `identity` begins with the pool's id. */
export interface InPool {
  pool: string;
  identity: string;
}
/**
 * Queue of the SPM agent of a pool. By its id, as hosts may have other pools of that name. No
 * agent serves the one of a pool that has no id.
 */
export function spmQueue({ pool, identity }: InPool): string {
  const [id = ''] = identity.split(':');
  return `spm-${UUID.test(id) ? id : pool}`;
}

export const searchAttributes = {
  vm: defineSearchAttributeKey('BlockflowVm', 'KEYWORD'),
  disk: defineSearchAttributeKey('BlockflowDisk', 'KEYWORD'),
  host: defineSearchAttributeKey('BlockflowHost', 'KEYWORD'),
  operation: defineSearchAttributeKey('BlockflowOperation', 'KEYWORD'),
  phase: defineSearchAttributeKey('BlockflowPhase', 'KEYWORD'),
  outcome: defineSearchAttributeKey('BlockflowOutcome', 'KEYWORD'),
};

/** What the list shows as the phase of an operation that needs a person. */
export const STUCK = 'stuck';

/** Phases that every operation has; each kind adds its own. */
export type CommonPhase = 'planning' | 'cancelling' | 'finished';

/** What the status of every operation says. Times are ISO 8601, sizes bytes. */
export interface CommonStatus {
  /** The type of the workflow, which is the kind of the operation. */
  operation: string;
  /** The VM; the pool for a standalone image. */
  vm: string;
  /** The disk's target; the volume for a standalone image. */
  disk: string;
  host: string;
  phase: string;
  since: string;
  /** What happens if one cancels now. */
  cancel: { possible: boolean; meaning: string };
  /** Null while agents answer; otherwise who is unavailable and since when. */
  away: string | null;
  /** What has been tried for 15 minutes without success; null while nothing has. */
  stuck: string | null;
  note: string | null;
  jobId: string | null;
  /** Paths, base-most first; empty before the plan. */
  chainBefore: string[];
  /** What the chain will be; of a copy, the copies. */
  chainTarget: string[];
  bandwidthBytesPerSecond: number;
}
/** The status of one kind: its name, its phases, and facts of its own. */
export interface StatusOf<Name extends string, Phase extends string> extends CommonStatus {
  operation: Name;
  phase: Phase | CommonPhase;
}

/** What stands for the disk where an operation is on a whole VM; its id is the VM's name. */
export const WHOLE_VM = '*';
/** Type of the workflow that stands for a disk while an operation on its whole VM has it. */
export const DISK_LOCK = 'HoldDisk';

/** Name of the query for it; `kinds.ts` has the query with the status of every kind. */
export const STATUS = 'status';
/**
 * Changes the limit of a running job, bytes per second, 0 for none. Returns the new limit in words.
 */
export const bandwidthUpdate = defineUpdate<string, [number]>('bandwidth');
/** The same of an operation that another one has started. */
export const bandwidthSignal = defineSignal<[number]>('limit');
/** What to do with a job at READY. */
export type Choice = 'pivot' | 'keep';
/** Ends the wait of `--wait-for-decision`. */
export const decideUpdate = defineUpdate<string, [Choice]>('decide');
/** The same of an operation that another one has started. */
export const decideSignal = defineSignal<[Choice]>('decision');

/** Phase of the heartbeat of work that waits for its turn. */
export const WAITING = 'waiting';
/** Heartbeat details of the long activities: what the Web UI shows under "Pending Activities". */
export interface Progress {
  phase: string;
  percent: number;
  copiedBytes: number;
  totalBytes: number;
  rateBytesPerSecond: number;
  remainingSeconds: number | null;
  note: string | null;
}
