/** What a finished operation on an image has done, and what one would do. Pure. */
import { basename } from 'node:path';
import type { ImagePlanOutcome, ImageVolume, RemovalPlan } from '../../workflows/image-schemas.ts';
import type { OperationResult } from '../operation.ts';
import type { Screen } from '../screen.ts';
import { chainWords, resultLines } from './merge-result.ts';
import { sizeWords } from './sizes.ts';

/** The end of an operation of any kind. */
export function endLines(result: OperationResult, paint: Screen['paint']): string[] {
  if ('committedBytes' in result) return resultLines(result, paint);
  const done = `${paint('green', 'Done')}: ${result.summary}`;
  if ('deleted' in result) {
    return [done, ...result.deleted.map((path) => `  deleted  ${path}`)];
  }
  return [
    done,
    `  before   ${chainWords(result.chainBefore)}`,
    ...result.chainAfter.map((path) => `  copy     ${path}`),
    ...(result.removal === null ? [] : [`  deletion \`blockflow status ${result.removal}\``]),
    ...result.warnings.map((warning) => `  ${paint('yellow', 'note')}     ${warning}`),
  ];
}

/** `--dry-run` of a move or copy. */
export function transferPlanLines(outcome: ImagePlanOutcome, isMove: boolean): string[] {
  if (outcome.kind === 'done') return [`Nothing to do: ${outcome.reason}`];
  if (outcome.kind === 'no-space') {
    const missing = sizeWords(outcome.neededBytes - outcome.freeBytes);
    return [
      `Not enough space: ${missing} more are needed in ${outcome.path}. It would wait for it.`,
    ];
  }
  const { plan } = outcome;
  const [needed, free] = [plan.spaceNeededBytes, plan.spaceFreeBytes].map(sizeWords);
  const after = plan.vm
    ? [`switch the record of ${plan.vm.name}/${plan.vm.disk}; no cancel from here on`]
    : [];
  const steps = [
    `reserve ${plan.volumes.length} volume(s) in pool ${plan.to.pool}, hold the source`,
    'copy, flush, compare; the VM cannot start meanwhile',
    'give the copies their names',
    ...after,
    ...(isMove ? ['delete the source, in a workflow of its own'] : []),
  ];
  return [
    ...plan.volumes.map((v) => `  copy      ${v.path} to ${plan.to.folder}/${v.name}${anew(v)}`),
    `  space     ${needed} needed, ${free} free`,
    ...plan.snapshots.map((name) => `  snapshot  ${name}: libvirt's record names the copies`),
    ...(isMove ? plan.volumes.map((v) => `  delete    ${v.path} (pool ${v.pool})`) : []),
    '  steps',
    ...steps.map((step, i) => `    ${i + 1}. ${step}`),
    '',
    'Nothing was touched (--dry-run).',
  ];
}

const anew = ({ convert }: ImageVolume) =>
  convert ? `, written anew as ${convert.format}, preallocation ${convert.preallocation}` : '';

/** `--dry-run` of a removal. */
export const removalPlanLines = ({ volumes, totalBytes }: RemovalPlan): string[] => [
  ...volumes.map((volume) => `  delete    ${volume.path} (pool ${volume.pool})`),
  `  regain    ${sizeWords(totalBytes)}`,
  `  image     ${volumes.map(({ path }) => basename(path)).join(' ← ')}`,
  '',
  'Nothing was touched (--dry-run).',
];
