/** Messages to a running merge: its limit, and the decision between pivot and keep. */
import { CancellationScope, condition, isCancellation, setHandler } from '@temporalio/workflow';
import type { BlockJob } from '../chain/schemas.ts';
import { acceptBandwidth } from '../operation/bandwidth.ts';
import { decideUpdate } from '../operation/contract.ts';
import { limitWords } from '../operation/words.ts';
import type { JobInput } from './activities.ts';
import type { MergeOperation } from './live-merge.ts';

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
  acceptBandwidth(op, {
    assertPossible() {
      if (op.status.mode === 'cold' && op.status.phase === 'copying') {
        throw new Error('the limit of an offline commit cannot be changed while it runs');
      }
    },
    async apply() {
      // With another limit it may converge.
      op.tell({ note: null });
      return (await limitJob(op)) !== null;
    },
  });
  return decision;
}

/** @throws for what is neither; the update is refused */
export function assertChoice(choice: unknown): void {
  if (choice !== 'pivot' && choice !== 'keep') throw new Error('say pivot or keep');
}

/** Gives the running job the limit that the operation has. */
export function limitJob(op: MergeOperation): Promise<BlockJob | null> {
  const { vm, disk, host } = op.input;
  const { bandwidthBytesPerSecond } = op.status;
  const input = { vm, disk, host, bandwidthBytesPerSecond };
  return op.host.ensureBandwidth(input, `limit the copy to ${limitWords(bandwidthBytesPerSecond)}`);
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
    op.host.awaitCommitReady(
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
