/** What `--dry-run` of a move or a copy of several disks tells. Pure. */
import type { DisksPlan } from '../../../workflows/transfer/disks/plan.ts';
import type { Lack } from '../../../workflows/transfer/disks/planning.ts';
import { sizeWords } from '../../../workflows/operation/words.ts';
import { copyRows, transferPlanLines } from './image-plan.ts';

interface Asked {
  vm: string;
  to: string;
  sources: 'delete' | 'keep';
  verify: 'full' | 'none';
}

export function disksPlanLines(planned: DisksPlan | Lack, asked: Asked): string[] {
  if (planned.kind === 'no-space' || planned.kind === 'pool-away') {
    const one = { verb: 'move' as const, id: asked.vm, verify: asked.verify };
    return transferPlanLines(planned, { ...one, wipe: false, waitForDecision: false });
  }
  if (planned.kind === 'done') return [`Nothing to do: ${planned.reason}`];
  const { disks, there, found } = planned;
  const needed = disks.reduce((sum, { plan }) => sum + plan.spaceNeededBytes, 0);
  const free = Math.min(...disks.map(({ plan }) => plan.spaceFreeBytes));
  const verb = asked.sources === 'keep' ? 'Copy' : 'Move';
  return [
    `${verb} of ${disks.length} disk(s) of ${asked.vm} to pool ${asked.to}`,
    ...disks.flatMap(({ disk, plan }) => copyRows(plan).map((row) => `  ${disk.padEnd(9)} ${row}`)),
    ...there.map((disk) => `  ${disk.padEnd(9)} is there already`),
    ...found.left.map(({ disk, why }) => `  ${disk.padEnd(9)} stays: ${why}`),
    `  space     ${sizeWords(needed)} needed, ${sizeWords(free)} free`,
    `  switch    ${switchWords(planned)}`,
    '',
    'Nothing was touched (--dry-run).',
  ];
}

function switchWords({
  switch: how,
  expectedStallMs,
}: Extract<DisksPlan, { kind: 'plan' }>): string {
  if (how === 'of a VM that is down') return 'each record by itself: the VM is down';
  const stall = `about ${expectedStallMs} ms`;
  return how === 'together'
    ? `together, in one suspension of ${stall}`
    : `one after the other: together the guest would stand still for ${stall}`;
}
