/** Messages to a running merge: its bandwidth, and the decision between pivot and keep. */
import { CancellationScope, condition, isCancellation, setHandler } from '@temporalio/workflow';
import { bandwidthUpdate, decideUpdate, type JobInput } from '../operation/contract.ts';
import { limitWords, mebibytes } from '../operation/page.ts';
import type { MergeOperation } from './merge-operation.ts';
import type { BlockJob } from '../chain/schemas.ts';

export interface Decision {
  chosen: 'pivot' | 'keep' | null;
}

/** Registers the updates. A refused update leaves no trace in the history. */
export function acceptMessages(op: MergeOperation): Decision {
  const decision: Decision = { chosen: null };
  setHandler(
    decideUpdate,
    (choice) => {
      decision.chosen = choice;
      return choice === 'pivot' ? 'the VM will be pivoted to base' : 'the overlay will be kept';
    },
    {
      description: 'pivot or keep: ends the wait of --wait-for-decision',
      validator: (choice) => {
        assertChoice(choice);
        if (op.status.phase === 'waiting for a decision') return;
        throw new Error(`${op.id} is not waiting for a decision: it is ${op.status.phase}`);
      },
    },
  );
  setHandler(bandwidthUpdate, (bytesPerSecond) => setBandwidth(op, bytesPerSecond), {
    description: 'Limit of the running copy in bytes per second, 0 for none',
    validator: (bytesPerSecond) => {
      assertRate(bytesPerSecond);
      if (op.status.mode === 'cold' && op.status.phase === 'copying') {
        throw new Error('the limit of an offline commit cannot be changed while it runs');
      }
    },
  });
  return decision;
}

/** @throws for what is neither; the update is refused */
export function assertChoice(choice: unknown): void {
  if (choice !== 'pivot' && choice !== 'keep') throw new Error('say pivot or keep');
}

/** @throws for what is no limit; the update is refused */
export function assertRate(bytesPerSecond: unknown): void {
  if (Number.isSafeInteger(bytesPerSecond) && (bytesPerSecond as number) >= 0) return;
  const said = JSON.stringify(bytesPerSecond) ?? 'nothing';
  throw new Error(`${said.slice(0, 50)} is not a number of bytes per second`);
}

async function setBandwidth(op: MergeOperation, bandwidthBytesPerSecond: number): Promise<string> {
  const isCopying = op.status.phase === 'copying';
  // With another limit it may converge; any other note still holds.
  op.tell({ bandwidthBytesPerSecond, ...(isCopying ? { note: null } : {}) });
  const words = limitWords(bandwidthBytesPerSecond);
  if (!isCopying) return `${words}, from the next copy on`;
  return (await limitJob(op)) ? words : `${words}; no job runs at the moment`;
}

/** Gives the running job the limit that the operation has. */
export function limitJob(op: MergeOperation): Promise<BlockJob | null> {
  const { vm, disk, host } = op.input;
  const { bandwidthBytesPerSecond } = op.status;
  const words = bandwidthBytesPerSecond === 0 ? 'no limit' : mebibytes(bandwidthBytesPerSecond);
  const input = { vm, disk, host, bandwidthBytesPerSecond };
  return op.host('ensureBandwidth', input, `limit the copy to ${words}`);
}

/** What to do at READY. While a person thinks, the VM is still watched. */
export async function decide(
  op: MergeOperation,
  job: JobInput,
  decision: Decision,
): Promise<'pivot' | 'keep' | 'look again'> {
  if (op.input.keepOverlay) return 'keep';
  if (!op.input.waitForDecision) return 'pivot';
  op.enter('waiting for a decision', {
    note: `READY: both layers hold the same; say \`blockflow decide ${op.id} pivot|keep\``,
  });
  const watching = new CancellationScope();
  const watch = watching.run(() =>
    op.host(
      'awaitCommitReady',
      { ...job, until: 'end', tellConvergence: false },
      'watch the READY job while a person decides',
    ),
  );
  await Promise.race([condition(() => decision.chosen !== null), watch]);
  watching.cancel();
  await watch.catch((error: unknown) => {
    if (!isCancellation(error)) throw error;
  });
  op.enter('copying', { note: null });
  return decision.chosen ?? 'look again';
}
