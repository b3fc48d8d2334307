/** The message that changes the limit of a running copy, for every operation that copies. */
import { setHandler } from '@temporalio/workflow';
import { bandwidthSignal, bandwidthUpdate } from '../contract.ts';
import type { AnyOperation } from '../operation.ts';
import { limitWords } from '../words.ts';

interface Copying {
  /** @throws why the limit cannot be changed now; the update is refused and leaves no trace */
  assertPossible(): void;
  /** Gives the running copy the limit of the operation. @returns false when no job runs */
  apply(words: string): Promise<boolean>;
}

/** Phases in which a job runs that has the limit. */
const COPYING = ['copying', 'mirroring'];

/** Registers the update. */
export function acceptBandwidth(op: AnyOperation, copying: Copying): void {
  const set = async (bandwidthBytesPerSecond: number): Promise<string> => {
    op.tell({ bandwidthBytesPerSecond });
    const words = limitWords(bandwidthBytesPerSecond);
    if (!COPYING.includes(op.status.phase)) return `${words}, from the next copy on`;
    return (await copying.apply(words)) ? words : `${words}; no job runs at the moment`;
  };
  acceptSignal(copying, set);
  setHandler(bandwidthUpdate, set, {
    description: 'Limit of the running copy in bytes per second, 0 for none',
    validator: (bytesPerSecond) => {
      assertRate(bytesPerSecond);
      copying.assertPossible();
    },
  });
}

/** A signal has no answer: what is no limit, or cannot be changed now, leaves it as it is. */
function acceptSignal(copying: Copying, set: (bytesPerSecond: number) => Promise<string>): void {
  const hear = async (bytesPerSecond: number) => {
    try {
      assertRate(bytesPerSecond);
      copying.assertPossible();
    } catch {
      return;
    }
    await set(bytesPerSecond);
  };
  setHandler(bandwidthSignal, hear, { description: 'As the update bandwidth' });
}

/** @throws for what is no limit; the update is refused */
export function assertRate(bytesPerSecond: unknown): void {
  if (Number.isSafeInteger(bytesPerSecond) && (bytesPerSecond as number) >= 0) return;
  const said = JSON.stringify(bytesPerSecond) ?? 'nothing';
  throw new Error(`${said.slice(0, 50)} is not a number of bytes per second`);
}
