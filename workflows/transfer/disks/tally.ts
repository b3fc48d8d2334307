/** How far a move of several disks is: each disk, shown and judged. */
import { CancelledFailure, isCancellation } from '@temporalio/workflow';
import { failureDetails, hold, retry, type HoldCode } from '../../operation/failures.ts';
import { convergenceOptions } from '../../operation/steering/convergence-input.ts';
import { sizeWords } from '../../operation/words.ts';
import { copyPaths } from '../copied.ts';
import type { Group, Plan } from './following.ts';
import type { DiskState, MoveDisksResult } from './kind.ts';
import type { DisksMove } from './move-disks.ts';
import { isDone, tallyWords } from './words.ts';

/** Every disk that is to move, and how they will switch. */
export function showDisks(op: DisksMove, { disks, switch: how, found }: Plan): void {
  op.tell({
    disks: disks.map(({ disk }): DiskState => ({ disk, state: 'waiting', why: null })),
    switch: how,
    chainBefore: disks.flatMap(({ plan }) => plan.volumes.map(({ path }) => path)),
    chainTarget: disks.flatMap(({ plan }) => copyPaths(plan)),
    ...(how === 'one after the other'
      ? {
          note:
            `the guest would stand still for ${found.stallMsOfEach} ms a disk: each switches by ` +
            `itself, as --max-pause is ${op.input.maxPauseMs} ms`,
        }
      : {}),
  });
}

/**
 * What the operation ends with when a disk is not where it was to be.
 * @param error what has ended it; null for the failures of its disks
 */
export function assertDone(op: DisksMove, { failures, keeps }: Group, error: unknown): unknown {
  const { disks } = op.status;
  const isBegun = disks.some(isDone);
  const now = tallyWords(disks, keeps);
  // The names of those copies are taken, and a copy that is made later is of another moment.
  const after = keeps
    ? 'the copies that are there are of another moment than those of a repeat'
    : 'the same request goes on with what is left';
  if (isBegun) op.truth = `${now}; ${after}`;
  if (isCancellation(error)) return new CancelledFailure(op.truth);
  const [first = error] = failures;
  if (!isBegun) return first;
  const attempted = op.words;
  const next = keeps
    ? 'Delete the copies that are there (`blockflow rm POOL/FILE`), then repeat the request'
    : 'Repeat the request: it goes on with what is left';
  const all = [...failures, error].map((one) => failureDetails(one));
  const held = all.find((failure) => failure?.type === 'Hold');
  if (held) return hold(held.details.code as HoldCode, { attempted, now, next: held.details.next });
  return retry('partly-moved', { attempted, now: keeps ? op.truth : now, next });
}

/** When all disks are where they were to be. */
export function report(
  op: DisksMove,
  { disks: planned, there, found }: Plan,
  { results, keeps, stallMs }: Pick<Group, 'results' | 'keeps'> & { stallMs: number | null },
): MoveDisksResult {
  const { sources, to, maxPauseMs } = op.input;
  const { disks } = op.status;
  const ended = disks.flatMap(({ disk }) => results.get(disk) ?? []);
  const bytes = planned.reduce((sum, { plan }) => sum + plan.totalBytes, 0);
  const stood = stallMs === null ? '' : `, guest suspended once for ${stallMs} ms`;
  const names = disks.map(({ disk }) => disk).join(', ');
  const late =
    stallMs !== null && stallMs > maxPauseMs
      ? [`the guest stood still for ${stallMs} ms, which is longer than ${maxPauseMs} ms`]
      : [];
  return {
    outcome: !keeps ? 'moved' : sources === 'keep' ? 'copied' : 'kept',
    summary:
      `${keeps ? 'copied' : 'moved'} ${disks.length} disk(s) of ${op.id} (${names}) to pool ` +
      `${to}: ${sizeWords(bytes)}${stood}`,
    disks,
    chainAfter: ended.flatMap(({ chainAfter }) => chainAfter),
    stallMs,
    removals: ended.flatMap(({ removal }) => removal ?? []),
    warnings: [
      ...new Set([
        ...ended.flatMap(({ warnings }) => warnings),
        ...found.left.map(({ disk, why }) => `${disk} stays where it is: ${why}`),
        ...there.map((disk) => `${disk} was there already`),
        ...late,
        ...(found.state === 'off' && sources === 'keep' ? withoutEffect(op) : []),
        ...op.point.warnings(),
      ]),
    ],
  };
}

/** Options of mirrors, of which the copies of a VM that is down know nothing. */
const withoutEffect = ({ input }: DisksMove): string[] =>
  [...(input.synchronousWrites ? ['--synchronous-writes'] : []), ...convergenceOptions(input)].map(
    (option) => `the VM is down, so ${option} has no effect`,
  );

export function alreadyThere(op: DisksMove, reason: string): MoveDisksResult {
  return {
    outcome: 'already-done',
    summary: `${op.words}: already done, ${reason}`,
    ...{ disks: [], chainAfter: [], stallMs: null, removals: [], warnings: [] },
  };
}
