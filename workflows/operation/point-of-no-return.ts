/** The point of no return of an operation, and the two scopes on its sides. */
import { CancellationScope, CancelledFailure } from '@temporalio/workflow';
import type { CommonStatus } from './contract.ts';

export interface PointOfNoReturn {
  /**
   * From here on the operation only goes forward: a cancel is refused, with the reason.
   * @throws CancelledFailure when a cancel came while its activity was ending well, so that no step
   * has heard it yet
   */
  pass(): void;
  /**
   * The outside shows that the point is behind. A cancel that came meanwhile, and that no activity
   * heard, is refused now.
   */
  isBehind(): void;
  /** Before it again: the outside shows that the switch did not happen. */
  takeBack(note: string): void;
  /** What refused cancels leave to say in a result. */
  warnings(): string[];
  /** Resolves when the refusal of a cancel, if there was one, is in the audit log. */
  told(): Promise<void>;
}

interface Surroundings {
  status: Pick<CommonStatus, 'cancel'>;
  /** What a cancel means before the point, and after it. */
  meaning: { before: string; after: string };
  tell: (changes: Partial<Pick<CommonStatus, 'cancel' | 'note'>>) => void;
  recordRefusal: (reason: string) => Promise<void>;
}

/** Called in the scope that a cancel reaches. */
export function createPointOfNoReturn(around: Surroundings): PointOfNoReturn {
  const { status, meaning, tell, recordRefusal } = around;
  const refusal = `cancel ${meaning.after}`;
  let recorded: Promise<void> | null = null;
  const refuseCancel = () => {
    if (status.cancel.possible || recorded) return;
    tell({ note: refusal });
    recorded = forwardOnly(() => recordRefusal(meaning.after));
  };
  CancellationScope.current().cancelRequested.catch(refuseCancel);
  const close = () => tell({ cancel: { possible: false, meaning: meaning.after } });
  const isCancelled = () => CancellationScope.current().consideredCancelled;
  return {
    pass() {
      if (isCancelled()) throw new CancelledFailure('cancelled in time');
      close();
    },
    isBehind() {
      close();
      if (isCancelled()) refuseCancel();
    },
    takeBack: (note) => tell({ cancel: { possible: true, meaning: meaning.before }, note }),
    warnings: () => (recorded ? [refusal] : []),
    told: () => recorded ?? Promise.resolve(),
  };
}

/**
 * The scope that can be undone: whatever ends it early, a cancel too, is undone, whatever else is
 * asked meanwhile.
 * @param undo returns a result when there is nothing left to undo, as the outside has gone on;
 * otherwise null, and what ended the body is thrown again
 */
export async function undoable<T>(
  body: () => T | Promise<T>,
  undo: () => Promise<T | null>,
): Promise<T> {
  try {
    return await body();
  } catch (error) {
    const gone = await forwardOnly(undo);
    if (gone === null) throw error;
    return gone;
  }
}

/** The scope that is always completed. */
export const forwardOnly = <T>(body: () => Promise<T>): Promise<T> =>
  CancellationScope.nonCancellable(body);
