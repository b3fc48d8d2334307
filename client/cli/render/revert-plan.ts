/** What `snapshot revert --dry-run` tells. Pure. */
import type { RevertPlan, RevertPlanOutcome } from '../../../workflows/snapshot/revert/plan.ts';
import { laterUndone } from '../../../workflows/snapshot/revert/words.ts';
import { warningRows } from './merge-plan.ts';

const UNTOUCHED = 'Nothing was touched (--dry-run).';

export function revertPlanLines(outcome: RevertPlanOutcome): string[] {
  switch (outcome.kind) {
    case 'done':
      return [`Nothing to do: ${outcome.reason}`];
    case 'switched':
      return ['An earlier run has changed the record: it is completed first.', UNTOUCHED];
    case 'leftover':
      return [
        `An earlier run has begun to go back to ${outcome.plan.snapshot}: its overlays are ` +
          'deleted first.',
        UNTOUCHED,
      ];
    case 'undo':
      return [
        `Undo of the revert of ${outcome.change.vm} at ${outcome.note.time}`,
        ...outcome.change.disks.map(
          ({ disk, from, to }) =>
            `  ${disk.padEnd(9)} ${from.volume.path} again, in place of ${to.volume.path}`,
        ),
        ...warningRows({ warnings: laterUndone(outcome) }),
        '',
        UNTOUCHED,
      ];
    case 'plan':
      return planLines(outcome.plan);
  }
}

const planLines = (plan: RevertPlan): string[] => [
  `Revert of ${plan.vm} on ${plan.host} to snapshot ${plan.snapshot}`,
  ...plan.disks.flatMap(({ disk, base, to, name, retired }) => [
    `  ${disk.padEnd(9)} ${base.path} ← ${to.folder}/${name}`,
    `            keeps ${retired.volume.path} in quarantine`,
  ]),
  ...plan.stay.map((disk) => `  ${disk.padEnd(9)} stays as it is: not part of the snapshot`),
  ...warningRows(plan),
  '',
  UNTOUCHED,
];
