import type { MergePlan, PlanOutcome } from '../../../workflows/merge/plan.ts';
import { chainWords } from './merge-result.ts';
import { sizeWords } from '../../../workflows/operation/words.ts';

/** What `--dry-run` tells: what would happen, in which order, and what it costs. */
export function planLines(outcome: PlanOutcome, keepOverlay: boolean): string[] {
  switch (outcome.kind) {
    case 'done':
      return [`Nothing to do: ${outcome.reason}`];
    case 'busy':
      return [`The disk is busy: ${outcome.reason}. A merge waits or is refused (--if-busy).`];
    case 'no-space': {
      const missing = sizeWords(outcome.neededBytes - outcome.freeBytes);
      const { path } = outcome;
      return [
        `Not enough space: ${missing} more are needed on the file system of ${path}.`,
        'A merge would wait for it; the VM runs on.',
      ];
    }
    case 'plan':
      return [...planRows(outcome.plan, keepOverlay), '', 'Nothing was touched (--dry-run).'];
  }
}

function planRows(plan: MergePlan, keepOverlay: boolean): string[] {
  const { committed, base, chainBefore, deletes, snapshots } = plan;
  const gone = new Set(committed.map((volume) => volume.path));
  const before = chainBefore.map((volume) => volume.path);
  const after = keepOverlay ? before : before.filter((path) => !gone.has(path));
  const bytes = committed.reduce((sum, volume) => sum + volume.allocatedBytes, 0);
  return [
    `Merge of ${plan.vm}/${plan.disk} on ${plan.host}, ${MODES[plan.mode]}`,
    `  commit    ${committed.length} volume(s), ${sizeWords(bytes)}, into ${base.path}`,
    `  before    ${chainWords(before)}`,
    `  after     ${chainWords(after)}`,
    `  space     ${space(plan)}`,
    ...deletes.map(({ path, pool }) => `  delete    ${path} (pool ${pool})`),
    ...snapshots.map(
      ({ name, action }) => `  snapshot  ${name}: libvirt's record is ${FOLLOW[action]}`,
    ),
    ...(plan.adopted ? [`  adopts    job ${plan.adopted.jobId} of an earlier run`] : []),
    ...(plan.alreadyMerged
      ? ['  merged    the chain is merged already, only deletion remains']
      : []),
    ...warningRows(plan),
    '  steps',
    ...stepsOf(plan, keepOverlay).map((step, i) => `    ${i + 1}. ${step}`),
  ];
}

/** What a plan did not look at, or does not keep. */
export const warningRows = ({ warnings }: { warnings?: string[] | undefined }) =>
  (warnings ?? []).map((warning) => `  note      ${warning}`);

const space = ({ spaceNeededBytes, spaceFreeBytes }: MergePlan) =>
  `${sizeWords(spaceNeededBytes)} needed, ${sizeWords(spaceFreeBytes)} free`;

const MODES = {
  active: 'the VM runs, top is its active layer',
  inner: 'the VM runs, top is below its active layer',
  cold: 'the VM is down',
};
const FOLLOW = { delete: 'deleted', redefine: 'changed to the new chain' };

function stepsOf({ mode, deletes, snapshots, alreadyMerged }: MergePlan, keep: boolean): string[] {
  const commit = {
    active: 'commit, until base holds the same as top (READY)',
    inner: 'commit; QEMU takes top out of the chain by itself',
    cold: 'commit offline; the VM cannot start meanwhile',
  }[mode];
  const pivot = {
    active: ['pivot: the guest is paused, usually less than 50 ms; no cancel from here on'],
    inner: [],
    cold: ['switch the record of the VM to base; no cancel from here on'],
  }[mode];
  if (keep) return ['record the job in the domain', commit, 'end the job, keep the overlay'];
  return [
    ...(alreadyMerged ? [] : ['record the job in the domain', commit, ...pivot]),
    'prove the chain in all views, and that no process has the committed volumes open',
    ...(snapshots.length > 0 ? ["let libvirt's snapshot records follow"] : []),
    ...(deletes.length > 0 ? [`delete ${deletes.length} volume(s)`] : ['keep the volumes']),
    'remove the record of the job',
  ];
}
