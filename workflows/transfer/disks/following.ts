/** Step 2: the moves of the disks, all at once, each with its own life. */
import {
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import { operationId } from '../../chain/references.ts';
import { decideSignal, type Choice } from '../../operation/contract.ts';
import { acceptDecision, type Decision } from '../../operation/steering/decision.ts';
import { failureDetails, ownFailure } from '../../operation/failures.ts';
import {
  acceptLimitOfParts,
  assertSame,
  endedFromOutside,
  endOther,
  FIRST_PAUSE_MS,
  LONGEST_PAUSE_MS,
  startPart,
  type Part,
} from '../../operation/parts.ts';
import { forwardOnly } from '../../operation/point-of-no-return.ts';
import type { copyKind, moveKind, TransferResult } from '../kind.ts';
import { askReadySignal, readySignal, type Ready } from '../together.ts';
import type { DiskState } from './kind.ts';
import type { DisksMove } from './move-disks.ts';
import type { DisksPlan } from './plan.ts';
import { partOf } from './planning.ts';
import { hasEnded } from './words.ts';
import { shell } from '../../operation/names.ts';

export type Plan = Extract<DisksPlan, { kind: 'plan' }>;
type Ended = Pick<TransferResult, 'outcome' | 'chainAfter' | 'removal' | 'warnings'>;

/** What the moves of the disks have said. */
export interface Group {
  /** Disks that wait for their switch. */
  ready: Map<string, Ready>;
  results: Map<string, Ended>;
  failures: Error[];
  /** After a switch that was not proven: each move looks at its own disk. */
  isReleased: boolean;
  /** Of a person, with --wait-for-decision. */
  decision: Decision;
  /** The sources stay: what ends all mirrors leaves copies of one moment. */
  keeps: boolean;
}

/** Registers what the moves tell, and the limit of all of them. */
export function acceptMessages(op: DisksMove): Group {
  const group: Group = {
    ready: new Map(),
    results: new Map(),
    failures: [],
    isReleased: false,
    decision: acceptDecision(op, ANSWERS, (choice) => whyNotKept(op, choice)),
    keeps: op.input.sources === 'keep',
  };
  const isOpen = (disk: string) =>
    op.status.disks.some((one) => one.disk === disk && !hasEnded(one));
  setHandler(readySignal, ({ disk, ...ready }) => {
    const shown = op.status.disks.find((one) => one.disk === disk);
    if (!shown || !isOpen(disk)) return;
    group.ready.set(disk, ready);
    tell(op, shown, 'ready');
  });
  acceptLimitOfParts(op, {
    each: 'for each disk',
    running() {
      const { vm, disks } = op.status;
      const running = disks.filter((disk) => !hasEnded(disk));
      return new Map(running.map(({ disk }) => [disk, operationId({ vm, disk })]));
    },
  });
  return group;
}

const ANSWERS = {
  pivot: 'the VM will be switched to the copies of all disks',
  keep: 'the sources will be kept, and the copies of this moment too',
};

/** Copies of disks that must not stand still together; null for what is possible. */
function whyNotKept(op: DisksMove, choice: Choice): string | null {
  if (choice === 'pivot') return null;
  if (op.status.switch !== 'together') {
    return 'the copies would not be of one moment (--max-pause): say pivot, or cancel';
  }
  const moved = op.status.disks.filter(({ state }) => state === 'moved');
  if (moved.length === 0) return null;
  const names = moved.map(({ disk }) => disk).join(', ');
  return `${names} has been moved by itself: say pivot, or cancel`;
}

/** Shows the state of a disk. */
export function tell(
  op: DisksMove,
  disk: DiskState,
  state: DiskState['state'],
  why?: string,
): void {
  Object.assign(disk, { state, why: why ?? null });
  op.tell({ disks: op.status.disks });
}

/** Until it has ended, well or not. */
export async function follow(
  op: DisksMove,
  plan: Plan,
  group: Group,
  shown: DiskState,
): Promise<void> {
  tell(op, shown, 'copying');
  try {
    const result = await resultOf(op, plan, shown.disk);
    assertWanted(op, group, shown.disk, result);
    group.results.set(shown.disk, result);
    tell(op, shown, isCopied(result) ? 'copied' : 'moved');
  } catch (error) {
    const isCancelled = isCancellation(error);
    if (isCancelled && CancellationScope.current().consideredCancelled) {
      return tell(op, shown, 'left');
    }
    const failure =
      ownFailure(error) ??
      endedFromOutside(
        `moving ${op.id}/${shown.disk}`,
        `its move was ${isCancelled ? 'cancelled' : 'terminated'}`,
        isCancelled ? 'its source is as it was' : 'its mirror may still run',
      );
    group.failures.push(failure);
    const state = failure.type === 'Refused' ? 'refused' : 'failed';
    tell(op, shown, state, failureDetails(failure)?.details.now);
  } finally {
    group.ready.delete(shown.disk);
  }
}

/** A person may have decided otherwise for one disk, or another request may have moved it. */
function assertWanted(op: DisksMove, { keeps }: Group, disk: string, ended: Ended): void {
  if (isCopied(ended) === keeps) return;
  const words = `it was ${ended.outcome} by itself`;
  throw endedFromOutside(`moving ${op.id}/${disk}`, words, 'the other disks are not with it');
}

const isCopied = ({ outcome }: Ended) => outcome === 'kept' || outcome === 'copied';

const ENDED_WELL = ['moved', 'kept', 'copied', 'already-done'] as const;

/** The move of an earlier run of this request may still have the disk: it is adopted. */
async function resultOf(op: DisksMove, plan: Plan, disk: string): Promise<Ended> {
  let since: string | null = null;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    const [part, ...alike] = partsOf(op, plan, disk);
    const started = await startPart(op, part);
    if (since === null || started) await ask(op, disk);
    if (started) return started.result();
    since ??= new Date().toISOString();
    try {
      await sleep(pauseMs);
      const last = await assertSame(op, part, alike);
      const outcome = ENDED_WELL.find((kind) => kind === last?.kind);
      if (outcome && last && last.time >= since) return adopted(outcome, last.after);
    } catch (error) {
      if (!isCancellation(error)) throw error;
      const kind = await forwardOnly(() => endOther(part));
      const outcome = ENDED_WELL.find((one) => one === kind);
      if (!outcome) throw error;
      return adopted(outcome, []);
    }
  }
}

/** First the one that is started; then those that serve as well where an earlier run has one. */
function partsOf(op: DisksMove, plan: Plan, disk: string): [DiskPart, ...DiskPart[]] {
  const asked = {
    disk,
    isDown: plan.found.state === 'off',
    hasPause: plan.switch !== 'together',
    planned: plan.disks.find((one) => one.disk === disk)?.plan,
    bandwidthBytesPerSecond: op.status.bandwidthBytesPerSecond,
  };
  const waits = plan.switch === 'together';
  const part = partOf(op.input);
  const own: DiskPart = part({ ...asked, waits });
  // A move that switches by itself is no copy of the others' moment.
  return op.input.sources === 'keep' ? [own] : [own, part({ ...asked, waits: !waits })];
}
type DiskPart = Part<typeof moveKind | typeof copyKind>;

const adopted = (outcome: Ended['outcome'], chainAfter: string[]): Ended => ({
  ...{ outcome, chainAfter, removal: null, warnings: [] },
});

const handleOf = (op: DisksMove, disk: string) =>
  getExternalWorkflowHandle(operationId({ vm: op.status.vm, disk }));

/**
 * Wants to be told when the disk waits at READY. One that has ended tells it by its end.
 * @param missed why the last suspension was too short
 */
export const ask = (op: DisksMove, disk: string, ...missed: [string?]): Promise<void> =>
  handleOf(op, disk)
    .signal(askReadySignal, op.id, ...missed)
    .catch(() => undefined);

/** A disk goes on by itself. */
export const release = (op: DisksMove, disk: string, choice: Choice): Promise<void> =>
  handleOf(op, disk)
    .signal(decideSignal, choice)
    .catch(() => undefined);

/** Until every disk waits at READY or has ended, or one has failed. */
export const untilAllReady = (op: DisksMove, group: Group): Promise<void> =>
  condition(
    () =>
      group.failures.length > 0 ||
      op.status.disks.every((disk) => hasEnded(disk) || group.ready.has(disk.disk)),
  );

/** What a person wants, once all wait; null where there is nothing to decide any more. */
export async function untilDecided(op: DisksMove, group: Group): Promise<Choice | null> {
  const { decision } = group;
  if (!op.input.waitForDecision) return 'pivot';
  const isOver = () => group.failures.length > 0 || op.status.disks.every(hasEnded);
  if (decision.chosen === null) {
    const note = `all disks wait for it: say ${shell`blockflow decide ${op.id} pivot|keep`}`;
    op.enter('waiting for a decision', { note });
    await condition(() => decision.chosen !== null || isOver());
  }
  return isOver() ? null : decision.chosen;
}
