/** What `snapshot delete --dry-run` tells: which merges, in which order, and what goes. Pure. */
import type {
  DeletionPlan,
  DiskPlan,
  GoingSnapshot,
} from '../../../workflows/snapshot/delete/plan.ts';
import { fileName, sizeWords } from '../../../workflows/operation/words.ts';
import { warningRows } from './merge-plan.ts';

export function deletionPlanLines(plan: DeletionPlan): string[] {
  if (plan.kind === 'done') return [`Nothing to do: ${plan.reason}`];
  const { deletion, disks, merged, refused } = plan;
  const names = deletion.snapshots.map(({ name }) => name).join(', then ');
  return [
    `Deletion of ${names} of ${deletion.vm} on ${deletion.host}`,
    ...deletion.snapshots.flatMap((snapshot) => [
      `  snapshot  ${snapshot.name}`,
      ...merged.filter(isOf(snapshot)).map(({ disk }) => `    ${disk.padEnd(8)}merged before`),
      ...disks.filter(isOf(snapshot)).flatMap(diskRows),
      ...refused
        .filter(isOf(snapshot))
        .map(({ disk, why }) => `    ${disk.padEnd(8)}refused: ${why}`),
      ...insideRows(snapshot),
      ...memoryRows(snapshot),
      recordRow(snapshot),
    ]),
    '',
    'Nothing was touched (--dry-run).',
  ];
}

const isOf =
  ({ name }: GoingSnapshot) =>
  ({ snapshot }: { snapshot: string }) =>
    snapshot === name;

function diskRows({ disk, outcome }: DiskPlan): string[] {
  const label = `    ${disk.padEnd(8)}`;
  if (outcome.kind === 'done') return [`${label}nothing to do: ${outcome.reason}`];
  if (outcome.kind === 'busy') return [`${label}busy: ${outcome.reason}`];
  if (outcome.kind === 'no-space') {
    const missing = sizeWords(outcome.neededBytes - outcome.freeBytes);
    return [`${label}would wait for ${missing} more on the file system of ${outcome.path}`];
  }
  const { committed, base, deletes, mode } = outcome.plan;
  const bytes = sizeWords(committed.reduce((sum, volume) => sum + volume.allocatedBytes, 0));
  const layers = committed.map(({ path }) => fileName(path)).join(', ');
  return [
    `${label}${mode} merge of ${layers}, ${bytes}, into ${fileName(base.path)}`,
    ...deletes.map(({ path, pool }) => `            delete ${path} (pool ${pool})`),
    ...warningRows(outcome.plan).map((row) => `          ${row}`),
  ];
}

function insideRows({ inside }: GoingSnapshot): string[] {
  if (!inside) return [];
  return [
    ...inside.gone.map((disk) => `    ${disk.padEnd(8)}does not have it (any more)`),
    ...inside.parts.map(
      ({ disk, handle, volume }) =>
        `    ${disk.padEnd(8)}delete id ${handle.id} inside of ${volume.path}`,
    ),
    ...warningRows(inside).map((row) => `          ${row}`),
  ];
}

function recordRow({ inside }: GoingSnapshot): string {
  if (!inside || inside.record === 'goes') {
    return "    record  libvirt's list, when all of this is done";
  }
  return inside.record === 'none'
    ? '    record  libvirt lists none'
    : '    record  stays: an image has another one of this name';
}

function memoryRows({ memory }: GoingSnapshot): string[] {
  if (!memory) return [];
  const { file, allocatedBytes, stays } = memory;
  const end = stays === null ? `delete ${file}, ${sizeWords(allocatedBytes)}` : `${file} stays`;
  return [`    memory  ${end}${stays === null ? '' : `: ${stays}`}`];
}
