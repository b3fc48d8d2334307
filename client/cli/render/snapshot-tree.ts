/** The snapshots of a VM as a tree, and what is wrong with them. Pure. */
import type { ListedSnapshot, SnapshotTree } from '../../../workflows/snapshot/list/schemas.ts';
import { sizeWords } from '../../../workflows/operation/words.ts';
import { timeWords } from '../../library/times.ts';
import type { Screen } from '../screen.ts';
import { columns } from './columns.ts';

type Paint = Screen['paint'];

export function snapshotLines(tree: SnapshotTree, paint: Paint): string[] {
  const { vm, host, snapshots } = tree;
  const count = snapshots.length === 1 ? '1 snapshot' : `${snapshots.length} snapshots`;
  return [
    `${paint('bold', vm.name)} on ${host}: ${vm.stateReason}, ${count}`,
    ...(snapshots.length > 0 ? ['', ...table(snapshots, paint)] : []),
    ...wrongLines(tree, paint),
  ];
}

interface Row {
  /** What leads to it from its parent. */
  branch: string;
  snapshot: ListedSnapshot;
}

/** Depth first. What names a parent that is not listed stands at the root. */
function rowsOf(snapshots: readonly ListedSnapshot[]): Row[] {
  const names = new Set(snapshots.map(({ name }) => name));
  const below = (parent: string | null, indent: string): Row[] => {
    const children = snapshots.filter((one) =>
      parent === null ? one.parent === null || !names.has(one.parent) : one.parent === parent,
    );
    return children.flatMap((snapshot, at) => {
      const isLast = at === children.length - 1;
      const [here, further] = isLast ? ['└─ ', '   '] : ['├─ ', '│  '];
      const [branch, next] = parent === null ? ['', ''] : [indent + here, indent + further];
      return [{ branch, snapshot }, ...below(snapshot.name, next)];
    });
  };
  return below(null, '');
}

function table(snapshots: readonly ListedSnapshot[], paint: Paint): string[] {
  const rows = rowsOf(snapshots).map(({ branch, snapshot }) => [
    `${branch}${snapshot.name}`,
    snapshot.takenAt === null ? '-' : timeWords(snapshot.takenAt),
    kindWords(snapshot),
    sizeWords(snapshot.allocatedBytes),
    snapshot.isCurrent ? 'current' : '',
    snapshot.disks
      .filter(({ kind }) => kind !== 'no')
      .map(diskWords)
      .join(' '),
  ]);
  const heading = ['NAME', 'TAKEN', 'KIND', 'SIZE', '', 'DISKS'];
  const [first = '', ...lines] = columns([heading, ...rows], new Set([3]));
  return [paint('bold', first), ...lines];
}

function diskWords({ disk, found, inside }: ListedSnapshot['disks'][number]): string {
  if (found === 'elsewhere') return `${disk} (other branch)`;
  if (found === 'detached') return `${disk} (detached)`;
  if (found === 'kept') return `${disk} (kept by a revert)`;
  return inside.length === 0 ? disk : `${disk} (id ${inside.map(({ id }) => id).join(', ')})`;
}

function kindWords({ kind, memory }: ListedSnapshot): string {
  if (memory === 'no') return kind === 'none' ? 'no disk' : kind;
  return kind === 'none' ? 'memory only' : `${kind}, memory`;
}

function wrongLines(tree: SnapshotTree, paint: Paint): string[] {
  const wrong = [
    ...tree.snapshots.flatMap(({ name, faults }) => faults.map((fault) => `${name}: ${fault}`)),
    ...tree.faults,
  ];
  const notes = [
    ...tree.unnamedLayers.map(
      ({ disk, path, allocatedBytes }) =>
        `${disk}: layer ${path} (${sizeWords(allocatedBytes)}) is of no listed snapshot`,
    ),
    ...tree.unlistedInternal.map(
      ({ disk, path, id, name, takenAt, memoryBytes }) =>
        `${disk}: ${path} holds internal snapshot ${name} (id ${id}, ${timeWords(takenAt)}` +
        `${memoryBytes > 0 ? ', with memory' : ''}), which libvirt does not list`,
    ),
  ];
  const lines = [
    ...wrong.map((words) => `${paint('red', 'wrong')}  ${words}`),
    ...notes.map((words) => `${paint('yellow', 'note')}   ${words}`),
  ];
  return lines.length > 0 ? ['', ...lines] : [];
}
