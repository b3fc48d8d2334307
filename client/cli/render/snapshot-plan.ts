/** What `snapshot create --dry-run` tells. Pure. */
import type { SnapshotPlan, CreationPlan } from '../../../workflows/snapshot/create/plan.ts';
import type { InsidePlan } from '../../../workflows/snapshot/inside/plan.ts';
import { warningRows } from './merge-plan.ts';

export function snapshotPlanLines(outcome: CreationPlan): string[] {
  if (outcome.kind === 'unfinished') {
    const { snapshot } = outcome.earlier.plan;
    return [
      `An earlier run has begun snapshot ${snapshot}: it is completed, or undone, first.`,
      'Nothing was touched (--dry-run).',
    ];
  }
  if (outcome.kind === 'inside') return insideLines(outcome.plan);
  const { plan } = outcome;
  const { vm, host, snapshot, running, disks, left } = plan;
  return [
    `Snapshot ${snapshot} of ${vm} on ${host}, ${running ? 'which runs' : 'which is down'}`,
    ...disks.map(
      ({ disk, base, to, name }) => `  ${disk.padEnd(9)} ${base.path} ← ${to.folder}/${name}`,
    ),
    ...left.map(({ disk, why }) => `  ${disk.padEnd(9)} not part of it: ${why}`),
    ...warningRows(plan),
    '  steps',
    ...stepsOf(plan).map((step, i) => `    ${i + 1}. ${step}`),
    '',
    'Nothing was touched (--dry-run).',
  ];
}

function insideLines({ snapshot, vm, host, disks, left }: InsidePlan): string[] {
  return [
    `Snapshot ${snapshot} of ${vm} on ${host}, inside of its images`,
    ...disks.map(({ disk, image }) => `  ${disk.padEnd(9)} inside of ${image.path}`),
    ...left.map(({ disk, why }) => `  ${disk.padEnd(9)} not part of it: ${why}`),
    '  steps',
    "    1. take it in all images at once, under QEMU's locks; no cancel from here on",
    '    2. let libvirt list the snapshot',
    '    3. check the images',
    '',
    'Nothing was touched (--dry-run).',
  ];
}

function stepsOf({ disks, running, quiesce }: SnapshotPlan): string[] {
  const frozen = quiesce === 'no' ? '' : ', its file systems frozen by the guest agent';
  return [
    `create ${disks.length} empty overlay(s)`,
    running
      ? `switch all disks at once, the guest paused${frozen}; no cancel from here on`
      : 'switch all disks by one change of the record; no cancel from here on',
    'let libvirt list the snapshot',
  ];
}
