/** A short workflow that only looks at the snapshots of a VM. */
import { auditLog, hostAgent, unheard } from '../../operation/agents.ts';
import type { AuditEvent } from '../../operation/audit/audit.ts';
import { readQuestion } from '../../operation/request/request.ts';
import { mergedDisks } from '../merged-disks.ts';
import type { snapshotListOnHost } from './activities.ts';
import { snapshotQuestion, type SnapshotQuestion } from './request.ts';
import type { ListedSnapshot, SnapshotTree } from './schemas.ts';
import { shell } from '../../operation/names.ts';

/** The tree of snapshots, and what is wrong with each. */
export async function ListSnapshots(request: SnapshotQuestion): Promise<SnapshotTree> {
  const { vm, host } = readQuestion(snapshotQuestion, request);
  const agent = hostAgent<typeof snapshotListOnHost>(host, unheard);
  const tree = await agent.observeSnapshotTree({ vm, host }, `look for the snapshots of ${vm}`);
  const events = await auditLog.observeEvents({ vm, limit: 1000 });
  const snapshots = tree.snapshots.map((snapshot) => withInterruption(vm, snapshot, events));
  return { ...tree, snapshots };
}

/** A snapshot that only some of its disks still have: the rest of a deletion. */
export function withInterruption(
  vm: string,
  snapshot: ListedSnapshot,
  events: readonly AuditEvent[],
): ListedSnapshot {
  const { name, disks, memoryFile, faults } = snapshot;
  const merged = mergedDisks(events, { vm, name, takenAt: snapshot.takenAt }).filter((disk) =>
    disks.some((one) => one.disk === disk && one.kind === 'no'),
  );
  if (merged.length === 0) return snapshot;
  const left = disks.filter(({ kind }) => kind !== 'no').map(({ disk }) => disk);
  const rest = [...left, ...(memoryFile === null ? [] : ['its memory'])].join(', ') || 'its record';
  const fault =
    `its deletion is not complete: ${merged.join(', ')} merged, left is ${rest}; ` +
    `${shell`blockflow snapshot delete ${vm} ${name}`} goes on`;
  return { ...snapshot, faults: [...faults, fault] };
}
