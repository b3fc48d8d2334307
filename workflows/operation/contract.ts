/**
 * The contract of the operations: names, ids, queues, queries, updates. Effect-free, imported by
 * client, workers and tests; it is the public API together with the schemas.
 */
import { defineQuery, defineUpdate } from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import type {
  AuditEvent,
  BlockJob,
  ChainObservation,
  DiskRef,
  LiveMergeInput,
  MergePlan,
  NamedVolume,
  PlanOutcome,
  SnapshotChange,
} from '../chain/schemas.ts';

export const ORCHESTRATOR_QUEUE = 'blockflow';
/** Queue of the agent on a hypervisor; only that host's agent serves it. */
export const hostQueue = (host: string) => `host-${host}`;
/** Queue of the SPM agent of a pool. */
export const spmQueue = (pool: string) => `spm-${pool}`;
/** The workflow id is the disk: what a person looks for, and the lock of the disk. */
export const operationId = (ref: { vm: string; disk: string }) => `${ref.vm}/${ref.disk}`;

export const searchAttributes = {
  vm: defineSearchAttributeKey('BlockflowVm', 'KEYWORD'),
  disk: defineSearchAttributeKey('BlockflowDisk', 'KEYWORD'),
  host: defineSearchAttributeKey('BlockflowHost', 'KEYWORD'),
  operation: defineSearchAttributeKey('BlockflowOperation', 'KEYWORD'),
  phase: defineSearchAttributeKey('BlockflowPhase', 'KEYWORD'),
  outcome: defineSearchAttributeKey('BlockflowOutcome', 'KEYWORD'),
};

export type Phase =
  | 'planning'
  | 'waiting for the disk'
  | 'waiting for space'
  | 'copying'
  | 'waiting for a decision'
  | 'pivoting'
  | 'proving'
  | 'deleting'
  | 'cancelling'
  | 'finished';

/** Answer of the `status` query. Times are ISO 8601. */
export interface OperationStatus {
  operation: 'LiveMerge';
  vm: string;
  disk: string;
  host: string;
  phase: Phase;
  since: string;
  /** What happens if one cancels now. */
  cancel: { possible: boolean; meaning: string };
  /** Null while agents answer; otherwise who is away and since when. */
  away: string | null;
  note: string | null;
  mode: MergePlan['mode'] | null;
  jobId: string | null;
  chainBefore: string[];
  chainTarget: string[];
  committedBytes: number;
  bandwidthBytesPerSecond: number;
}

export const statusQuery = defineQuery<OperationStatus>('status');
/**
 * Changes the limit of a running job, bytes per second, 0 for none. Returns the new limit in words.
 */
export const bandwidthUpdate = defineUpdate<string, [number]>('bandwidth');
/** Ends the wait of `--wait-for-decision`. */
export const decideUpdate = defineUpdate<string, ['pivot' | 'keep']>('decide');

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

export interface JobInput {
  plan: MergePlan;
  jobId: string;
}

export type ReadyOutcome =
  | { outcome: 'ready'; readyAtMs: number }
  | { outcome: 'finished' }
  | { outcome: 'gone'; reason: string }
  | { outcome: 'vm-stopped'; reason: string }
  | { outcome: 'not-converging'; note: string };

export type ColdOutcome =
  /**
   * `topModifiedNs` is top's modification time when the commit ended, the proof that nobody wrote
   * since.
   */
  | { outcome: 'committed'; topModifiedNs: string }
  | { outcome: 'vm-started'; reason: string }
  | { outcome: 'failed'; reason: string };

/** The proof of a merge: what the four views say, after nobody has the volumes open. */
export interface MergeProof {
  chainAfter: string[];
  guest: 'running' | 'paused' | 'off';
}

/** Returns at once: who gets an answer knows that the agent is there. */
interface Present {
  observePresence(): Promise<void>;
}

export type StartOutcome =
  /** With when it was READY, if that was before the start was reported. */
  | { outcome: 'started'; reason: string; readyAtMs: number | null }
  | { outcome: 'finished' | 'vm-stopped' | 'busy' | 'failed'; reason: string };

/** Activities of the host agent. `observe` reads, `ensure` makes a state true, `await` waits. */
export interface HostActivities extends Present {
  observeChain(ref: DiskRef): Promise<ChainObservation>;
  observeMergePlan(input: LiveMergeInput): Promise<PlanOutcome>;
  awaitDiskIdle(ref: DiskRef): Promise<void>;
  awaitSpace(input: { path: string; neededBytes: number }): Promise<void>;
  ensureCommitStarted(
    input: JobInput & { bandwidthBytesPerSecond: number; keepRelative: boolean },
  ): Promise<StartOutcome>;
  ensureBandwidth(input: DiskRef & { bandwidthBytesPerSecond: number }): Promise<BlockJob | null>;
  awaitCommitReady(
    input: JobInput & { until: 'ready' | 'end'; tellConvergence: boolean },
  ): Promise<ReadyOutcome>;
  ensureCommitAborted(input: JobInput): Promise<{ outcome: 'unchanged' | 'merged' }>;
  ensurePivoted(
    input: JobInput,
  ): Promise<
    | { outcome: 'pivoted'; stallMs: number | null; pivotIssuedAtMs: number | null }
    | { outcome: 'not-pivoted'; reason: string }
    | { outcome: 'vm-stopped'; reason: string }
  >;
  ensureColdCommitted(input: JobInput & { bandwidthBytesPerSecond: number }): Promise<ColdOutcome>;
  ensureColdSwitched(
    input: JobInput & { keepRelative: boolean; topModifiedNs: string },
  ): Promise<ColdOutcome>;
  observeMergeProof(input: JobInput): Promise<MergeProof>;
  ensureSnapshotRecords(input: JobInput & { changes: SnapshotChange[] }): Promise<void>;
  ensureJobForgotten(input: JobInput): Promise<void>;
}

/** Activities of the SPM agent of a pool. */
export interface StorageActivities extends Present {
  ensureVolumesAbsent(input: {
    jobId: string;
    volumes: NamedVolume[];
  }): Promise<{ deleted: string[]; regainedBytes: number }>;
}

/** Which events of the audit log; of those that match, the newest `limit`. */
export interface AuditFilter {
  vm?: string;
  disk?: string;
  limit: number;
}

/** Local activities of the orchestrator. */
export interface OrchestratorActivities {
  ensureEventRecorded(event: AuditEvent): Promise<void>;
  observeEvents(filter: AuditFilter): Promise<AuditEvent[]>;
}
