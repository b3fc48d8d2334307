/** Messages to a running merge: its limit, and the decision between pivot and keep. */
import type { BlockJob } from '../chain/schemas.ts';
import { acceptBandwidth } from '../operation/steering/bandwidth.ts';
import { acceptDecision, untilDecided, type Decision } from '../operation/steering/decision.ts';
import { limitWords } from '../operation/words.ts';
import type { JobInput } from './activities.ts';
import type { MergeOperation } from './live-merge.ts';
import { shell } from '../operation/names.ts';

/** Registers the updates. */
export function acceptMessages(op: MergeOperation): Decision {
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
  return acceptDecision(op, {
    pivot: 'the VM will be pivoted to base',
    keep: 'the overlay will be kept',
  });
}

/** Gives the running job the limit that the operation has. */
export function limitJob(op: MergeOperation): Promise<BlockJob | null> {
  const { vm, disk, host } = op.input;
  const { bandwidthBytesPerSecond } = op.status;
  const input = { vm, disk, host, bandwidthBytesPerSecond };
  return op.host.ensureBandwidth(input, `limit the copy to ${limitWords(bandwidthBytesPerSecond)}`);
}

/** What to do at READY. */
export async function decide(
  op: MergeOperation,
  job: JobInput,
  decision: Decision,
): Promise<'pivot' | 'keep' | 'look again'> {
  if (op.input.keepOverlay) return 'keep';
  if (!op.input.waitForDecision) return 'pivot';
  op.enter('waiting for a decision', {
    note: `READY: both layers hold the same; say ${shell`blockflow decide ${op.id} pivot|keep`}`,
  });
  const { chosen } = await untilDecided(decision, () =>
    op.host.awaitCommitReady(
      { ...job, until: 'end', tellConvergence: false },
      'watch the READY job while a person decides',
    ),
  );
  op.enter('copying', { note: null });
  return chosen ?? 'look again';
}
