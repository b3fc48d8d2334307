/**
 * The decision at READY between pivot and keep: that of a person, or of the operation that has
 * started this one.
 */
import { CancellationScope, condition, isCancellation, setHandler } from '@temporalio/workflow';
import { decideSignal, decideUpdate, type Choice } from '../contract.ts';
import type { AnyOperation } from '../operation.ts';

export interface Decision {
  /** What was said last; null while it is refused. */
  readonly chosen: Choice | null;
}

/**
 * Registers the messages. A refused update leaves no trace in the history. The signal has no
 * answer, so that it counts whenever it comes, from when its choice is possible.
 * @param answers what happens now
 * @param whyNot why a choice is refused now; null for one that is possible
 */
export function acceptDecision(
  op: AnyOperation,
  answers: Record<Choice, string>,
  whyNot: (choice: Choice) => string | null = () => null,
): Decision {
  let said: Choice | null = null;
  const decide = (choice: Choice) => {
    said = choice;
    return answers[choice];
  };
  setHandler(decideUpdate, decide, {
    description: 'pivot or keep: ends the wait of --wait-for-decision',
    validator: (choice: Choice) => {
      assertChoice(choice);
      const { phase } = op.status;
      const isEarly = phase !== 'waiting for a decision';
      const refusal = isEarly
        ? `${op.id} is not waiting for a decision: it is ${phase}`
        : whyNot(choice);
      if (refusal !== null) throw new Error(refusal);
    },
  });
  const hear = (choice: Choice) => void (isChoice(choice) && decide(choice));
  setHandler(decideSignal, hear, { description: 'As the update decide, also before READY' });
  return {
    get chosen() {
      return said !== null && whyNot(said) === null ? said : null;
    },
  };
}

const isChoice = (choice: unknown) => choice === 'pivot' || choice === 'keep';

/** @throws for what is neither; the update is refused */
export function assertChoice(choice: unknown): void {
  if (!isChoice(choice)) throw new Error('say pivot or keep');
}

/**
 * While a person thinks, the VM is still watched.
 * @param watch ends when there is nothing to decide any more; it is cancelled by a decision
 * @param isOver also ends the wait
 * @returns what was chosen, or what the watch has seen; null where the wait was over before
 */
export async function untilDecided<Seen>(
  decision: Decision,
  watch: () => Promise<Seen>,
  isOver: () => boolean = () => false,
): Promise<{ chosen: Choice } | { chosen: null; seen: Seen | null }> {
  const watching = new CancellationScope();
  const watched = watching.run(watch);
  await Promise.race([condition(() => decision.chosen !== null || isOver()), watched]);
  watching.cancel();
  const seen = await watched.catch((error: unknown) => {
    if (!isCancellation(error)) throw error;
    return null;
  });
  const { chosen } = decision;
  return chosen === null ? { chosen, seen } : { chosen };
}
