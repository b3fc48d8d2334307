/** What `--dry-run` of a move, a copy and a removal tells: bytes, space, steps, deletions. Pure. */
import { basename } from 'node:path';
import type { ImagePlan, ImagePlanOutcome, ImageVolume } from '../../../workflows/transfer/plan.ts';
import { copiesOf, copyPaths, copiedByUs } from '../../../workflows/transfer/copied.ts';
import type { RemovalPlan } from '../../../workflows/removal/plan.ts';
import { sizeWords } from '../../../workflows/operation/words.ts';
import { warningRows } from './merge-plan.ts';

/** What was asked for, as far as the plan does not tell it. */
export interface Asked {
  verb: 'move' | 'copy';
  /** The image, as the workflow is called. */
  id: string;
  verify: 'full' | 'none';
  wipe: boolean;
  waitForDecision: boolean;
}

export function transferPlanLines(outcome: ImagePlanOutcome, asked: Asked): string[] {
  if (outcome.kind === 'done') return [`Nothing to do: ${outcome.reason}`];
  if (outcome.kind === 'pool-away') {
    return [`Pool ${outcome.to.pool} is unavailable: ${outcome.reason}.`, 'It would wait for it.'];
  }
  if (outcome.kind === 'no-space') {
    const missing = sizeWords(outcome.neededBytes - outcome.freeBytes);
    return [
      `Not enough space: ${missing} more are needed in ${outcome.path}. It would wait for it.`,
    ];
  }
  const { plan } = outcome;
  const rows = plan.switched ? restRows(plan, asked) : transferRows(plan, asked);
  return [...rows, '', 'Nothing was touched (--dry-run).'];
}

/** What is read, and what it becomes. */
export function copyRows(plan: ImagePlan): string[] {
  const { volumes, to } = plan;
  return copiesOf(plan).map((v) => {
    const from = plan.flatten ? volumes.map(({ path }) => path).join(' ← ') : v.path;
    return `${from} to ${to.folder}/${v.name}`;
  });
}

function transferRows(plan: ImagePlan, asked: Asked): string[] {
  const { volumes, to, adopted, leftovers } = plan;
  const [total, needed, free] = [plan.totalBytes, plan.spaceNeededBytes, plan.spaceFreeBytes].map(
    sizeWords,
  );
  const deletes = asked.verb === 'move' ? deletionRows(volumes) : [];
  const heading = asked.verb === 'move' ? 'Move' : 'Copy';
  return [
    `${heading} of ${asked.id} to pool ${to.pool}: ${volumes.length} volume(s), ${total}`,
    ...copyRows(plan).map((row, at) => `  copy      ${row}, ${bytesOf(plan, at)}`),
    `  space     ${needed} needed, ${free} free`,
    ...plan.snapshots.map((name) => `  snapshot  ${name}: libvirt's record names the copies`),
    ...deletes,
    ...(adopted ? [`  adopts    job ${adopted.jobId} of an earlier run`] : []),
    ...warningRows(plan),
    ...leftovers.map((jobId) => `  removes   the copies of job ${jobId} of an earlier run, first`),
    ...stepRows(transferSteps(plan, asked, total ?? '')),
  ];
}

function transferSteps(plan: ImagePlan, asked: Asked, total: string): string[] {
  const { to, vm } = plan;
  const disk = vm && `${vm.name}/${vm.disk}`;
  return [
    `reserve ${copiesOf(plan).length} volume(s) in pool ${to.pool}`,
    ...(plan.live ? liveSteps(plan, asked) : coldSteps(asked, total)),
    ...(disk && plan.live
      ? [
          `suspend the guest, switch ${disk}, resume; no cancel from here on`,
          'prove that QEMU has nothing of the source open',
        ]
      : []),
    ...(disk && !plan.live ? [`switch the record of ${disk}; no cancel from here on`] : []),
    ...(asked.verb === 'move' ? [deletionStep(asked, vm ? '' : '; no cancel from here on')] : []),
  ];
}

const coldSteps = ({ verify }: Asked, total: string) => [
  'hold the source against writes and the start of its VM until the end',
  `copy ${total} and flush the copies`,
  ...(verify === 'full' ? ['compare the copies with the source'] : []),
  'give the copies their names',
];

/** The VM runs. */
function liveSteps(plan: ImagePlan, { verify, waitForDecision }: Asked): string[] {
  const { volumes, flatten } = plan;
  const lower = copiedByUs(plan).length;
  const mirrored = basename(volumes.at(-1)?.path ?? '');
  const compared = verify === 'full' ? ' and compare' : '';
  return [
    ...(lower > 0 ? [`hold, copy${compared} ${lower} lower volume(s), which QEMU only reads`] : []),
    'give the copies their names',
    `mirror ${mirrored}${flatten ? ' with all below it' : ''} while the VM runs, until both hold ` +
      'the same',
    ...(waitForDecision ? ['wait for `blockflow decide`: the next steps are those of pivot'] : []),
  ];
}

/** What an earlier run left to do: its record names the copies, the source is still there. */
const restRows = (plan: ImagePlan, asked: Asked): string[] => [
  `An earlier run has moved ${asked.id} to pool ${plan.to.pool}; its end is left to do, no cancel`,
  ...copyPaths(plan).map((path) => `  is there  ${path}`),
  ...deletionRows(plan.volumes),
  ...stepRows([
    ...(plan.vm ? [`complete the record of ${plan.vm.name}/${plan.vm.disk}`] : []),
    deletionStep(asked, ''),
  ]),
];

const deletionRows = (volumes: readonly ImageVolume[]) =>
  volumes.map((v) => `  delete    ${v.path} (pool ${v.pool}), ${sizeWords(v.allocatedBytes)}`);

const deletionStep = ({ wipe }: Asked, more: string) =>
  `${wipe ? 'overwrite with zeros and delete' : 'delete'} the source, in a workflow of its own` +
  more;

function bytesOf(plan: ImagePlan, at: number): string {
  const { sizeBytes, allocatedBytes: own, convert } = copiesOf(plan)[at] as ImageVolume;
  const read = plan.flatten ? plan.volumes.map((v) => v.allocatedBytes) : [own];
  const onDisk = `${sizeWords(read.reduce((sum, bytes) => sum + bytes, 0))} on the disk`;
  if (!convert) return `${sizeWords(sizeBytes)}, ${onDisk}`;
  const { format, preallocation, virtualSizeBytes } = convert;
  const rewritten = `rewritten as ${format}, preallocation ${preallocation}`;
  return `${sizeWords(virtualSizeBytes)}, ${onDisk}, ${rewritten}`;
}

const stepRows = (steps: readonly string[]) => [
  '  steps',
  ...steps.map((step, i) => `    ${i + 1}. ${step}`),
];

export const removalPlanLines = (
  { volumes, totalBytes, warnings }: RemovalPlan,
  { id, wipe }: Pick<Asked, 'id' | 'wipe'>,
): string[] => [
  `Removal of ${id}: ${volumes.length} volume(s), ${sizeWords(totalBytes)} on the disk`,
  `  image     ${volumes.map(({ path }) => basename(path)).join(' ← ')}`,
  ...volumes.map((volume) => `  delete    ${volume.path} (pool ${volume.pool})`),
  ...warningRows({ warnings }),
  ...stepRows([
    'prove that nothing refers to it and no process has it open',
    wipe
      ? 'overwrite its data with zeros and delete it; no cancel from here on'
      : 'delete it; no cancel from here on',
  ]),
  '',
  'Nothing was touched (--dry-run).',
];
