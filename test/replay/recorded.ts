/** The recorded histories: what each is of, and how it must have ended. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { KindName } from '../../workflows/kinds.ts';

/** How a recorded operation ended: its result's outcome and mode, or its failure. */
export type Ending =
  | { outcome: 'merged' | 'kept' | 'already-done'; mode: 'active' | 'inner' | 'cold' | null }
  | { operation: Exclude<KindName, 'LiveMerge'>; outcome: string }
  | { type: 'Refused' | 'Retry' | 'Hold'; code: string }
  | { cancelled: true };

const merged = { outcome: 'merged', mode: 'active' } as const;
const moved = { operation: 'MoveImage', outcome: 'moved' } as const;
const removed = { operation: 'RemoveImage', outcome: 'removed' } as const;
const failed = { type: 'Retry', code: 'command-failed' } as const;

const deletionRecordings = {
  'snapshot-deleted': { operation: 'DeleteSnapshot', outcome: 'deleted' },
  'snapshot-deletion-already-done': { operation: 'DeleteSnapshot', outcome: 'already-done' },
  'snapshot-deletion-refused': { type: 'Refused', code: 'unknown-snapshot' },
  'snapshot-deletion-cancelled': { cancelled: true },
  'snapshot-deleted-inside': { operation: 'DeleteSnapshot', outcome: 'deleted' },
  'snapshot-deleted-inside-live': { operation: 'DeleteSnapshot', outcome: 'deleted' },
  'snapshot-deleted-inside-already': { operation: 'DeleteSnapshot', outcome: 'already-done' },
  'snapshot-inside-partly-deleted': { type: 'Retry', code: 'partly-deleted' },
  'snapshot-partly-deleted': { type: 'Retry', code: 'partly-deleted' },
} as const satisfies Record<string, Ending>;
export type DeletionRecordingName = keyof typeof deletionRecordings;

const liveMoveRecordings = {
  'moved-live': moved,
  'move-live-paused': moved,
  'move-live-limited': moved,
  'move-live-cancelled': { cancelled: true },
  'move-live-vm-stopped': { type: 'Retry', code: 'vm-stopped' },
  'move-live-mirrored-again': moved,
  'move-live-job-lost': { type: 'Retry', code: 'job-lost' },
  'move-live-adopted': moved,
  'move-live-decided': moved,
  'move-live-converged': moved,
  'move-live-continued-cold': moved,
  'move-live-kept': { operation: 'MoveImage', outcome: 'kept' },
} as const satisfies Record<string, Ending>;
export type LiveMoveRecordingName = keyof typeof liveMoveRecordings;

const disksRecordings = {
  'disks-moved': { operation: 'MoveDisks', outcome: 'moved' },
  'disks-moved-one-after-the-other': { operation: 'MoveDisks', outcome: 'moved' },
  'disks-moved-down': { operation: 'MoveDisks', outcome: 'moved' },
  'disks-adopted': { operation: 'MoveDisks', outcome: 'moved' },
  'disks-already-done': { operation: 'MoveDisks', outcome: 'already-done' },
  'disks-copied': { operation: 'MoveDisks', outcome: 'copied' },
  'disks-kept': { operation: 'MoveDisks', outcome: 'kept' },
  'disks-copied-down': { operation: 'MoveDisks', outcome: 'copied' },
  'disks-cancelled': { cancelled: true },
  'disks-refused': { type: 'Refused', code: 'unknown-disk' },
  'disks-ended': { type: 'Retry', code: 'job-lost' },
  /** The move of one disk of them. */
  'disks-one-moved': moved,
  'disks-one-kept': { operation: 'MoveImage', outcome: 'kept' },
} as const satisfies Record<string, Ending>;
export type DisksRecordingName = keyof typeof disksRecordings;

export const imageRecordings = {
  ...deletionRecordings,
  ...disksRecordings,
  ...liveMoveRecordings,
  moved,
  'moved-converted': moved,
  'moved-volume': moved,
  'move-already-done': { operation: 'MoveImage', outcome: 'already-done' },
  'move-cancelled': { cancelled: true },
  'move-cancel-refused': moved,
  'move-copy-failed': failed,
  'move-verify-failed': failed,
  'move-name-taken': { type: 'Refused', code: 'name-taken' },
  'move-held': { type: 'Hold', code: 'divergent-chain' },
  'move-waited-for-space': moved,
  'move-waited-for-pool': moved,
  'move-after-another-pool': moved,
  undone: removed,
  'undone-for-nothing': { operation: 'RemoveImage', outcome: 'kept' },
  'move-refused': { type: 'Refused', code: 'vm-running' },
  'move-restart-of-orchestrator': moved,
  'move-restart-of-host-agent': moved,
  'move-restart-of-spm-agent': moved,
  copied: { operation: 'CopyImage', outcome: 'copied' },
  'copy-cancelled': { cancelled: true },
  'copy-failed': failed,
  removed,
  'removed-after-move': removed,
  'removed-after-waiting': removed,
  'removal-refused': { type: 'Refused', code: 'volume-in-use' },
} as const satisfies Record<string, Ending>;
export type ImageRecordingName = keyof typeof imageRecordings;

const created = { operation: 'CreateSnapshot', outcome: 'created' } as const;
export const snapshotRecordings = {
  'snapshot-created': created,
  'snapshot-created-cold': created,
  'snapshot-created-after-terminate': created,
  'snapshot-created-already': { operation: 'CreateSnapshot', outcome: 'already-done' },
  'snapshot-created-inside': created,
  'snapshot-created-inside-after-terminate': created,
  'snapshot-inside-vm-started': { type: 'Retry', code: 'vm-started' },
  'snapshot-refused': { type: 'Refused', code: 'unknown-disk' },
  'snapshot-reverted': { operation: 'RevertSnapshot', outcome: 'reverted' },
  'snapshot-revert-undone': { operation: 'RevertSnapshot', outcome: 'undone' },
  'snapshot-revert-undone-already': { operation: 'RevertSnapshot', outcome: 'already-done' },
} as const satisfies Record<string, Ending>;
export type SnapshotRecordingName = keyof typeof snapshotRecordings;

export const recordings = {
  merged,
  inner: { outcome: 'merged', mode: 'inner' },
  cold: { outcome: 'merged', mode: 'cold' },
  snapshot: merged,
  kept: { outcome: 'kept', mode: 'active' },
  decided: merged,
  cancelled: { cancelled: true },
  'cancel-refused': merged,
  'vm-crashed': { type: 'Retry', code: 'vm-stopped' },
  'vm-crashed-continued': { outcome: 'merged', mode: 'cold' },
  refused: { type: 'Refused', code: 'volume-not-in-chain' },
  'already-done': { outcome: 'already-done', mode: null },
  'restart-of-orchestrator': merged,
  'restart-of-host-agent': merged,
  'restart-of-spm-agent': merged,
  'restart-of-libvirtd': merged,
  'restart-of-temporal': merged,
} as const satisfies Record<string, Ending>;
export type MergeRecordingName = keyof typeof recordings;
export type RecordingName = MergeRecordingName | ImageRecordingName | SnapshotRecordingName;
export const allRecordings: Record<RecordingName, Ending> = {
  ...recordings,
  ...imageRecordings,
  ...snapshotRecordings,
};
export const recordingNames = Object.keys(allRecordings) as RecordingName[];

export const historiesFolder = fileURLToPath(new URL('histories/', import.meta.url));

interface Payloads {
  payloads?: { metadata?: { encoding?: string }; data?: string }[];
}
/** An event as its JSON has it; only what the tests read. */
export interface RecordedEvent {
  eventId: string;
  workflowExecutionStartedEventAttributes?: {
    workflowType: { name: string };
    workflowId: string;
    input: Payloads;
  };
  workflowExecutionCompletedEventAttributes?: { result: Payloads };
  workflowExecutionFailedEventAttributes?: { failure: RecordedFailure };
  workflowExecutionCanceledEventAttributes?: object;
  activityTaskScheduledEventAttributes?: { activityType: { name: string }; input: Payloads };
  activityTaskCompletedEventAttributes?: { scheduledEventId: string; result?: Payloads };
}
export interface RecordedFailure {
  cause?: RecordedFailure;
  applicationFailureInfo?: { type: string; details?: Payloads };
}
export interface RecordedHistory {
  events: RecordedEvent[];
}

export const recordedText = (name: RecordingName) =>
  readFileSync(`${historiesFolder}${name}.json`, 'utf8');

/** The values that a list of payloads carries. */
export function decode(list: Payloads | undefined): unknown[] {
  return (list?.payloads ?? []).map(({ data }) => {
    const text = Buffer.from(data ?? '', 'base64').toString('utf8');
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  });
}

/** Every payload of a history as text: where names of machines could hide. */
export function payloadTexts(json: string): string[] {
  return [...json.matchAll(/"data": ?"([A-Za-z0-9+/=]*)"/g)].map((match) =>
    Buffer.from(match[1] ?? '', 'base64').toString('utf8'),
  );
}
