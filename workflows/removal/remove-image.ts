/**
 * RemoveImage: deletes an image with all its volumes from storage; no record is touched. Refused
 * while anything refers to it. A move starts it for the source that it leaves behind, a move or a
 * copy for the copies that it made in vain; neither waits for it.
 *
 *   planning ─ [wiping] ─ deleting ─ finished
 *      ├─ waiting for the disk: only what was left, while it is still in use
 *      └─ waiting for the pool: only copies
 *
 * Steps, and what is durable when each is done:
 *  1. plan    nothing; proven that no domain, snapshot or other chain names a volume, on no host
 *             that shares a pool of them, and no process has one open (I3).
 *  2. wipe    POINT OF NO RETURN with `--wipe`: the volumes are out of sight, and overwritten.
 *  3. delete  POINT OF NO RETURN: the volumes are gone, by the SPM agents of their pools, active
 *             layer first. All of a pool are looked at before the first one goes; one that is
 *             opened after that is waited for. Of copies first the reservation is abandoned,
 *             unless a repeated request has adopted it.
 *
 * Cancel: before the point of no return the image is untouched; after it, it is refused and the
 * removal completed. Of copies it only ends the trying: the next request finds what is left.
 * Invariants: I3 (1 and, by identity and lock, each deletion), I6, I8, I9, I16,
 * I17.
 */
import { continueAsNew, isCancellation, sleep, workflowInfo } from '@temporalio/workflow';
import type { chainOnHost } from '../chain/activities.ts';
import { assertUnusedElsewhere } from '../chain/other-hosts.ts';
import { acceptBandwidth } from '../operation/steering/bandwidth.ts';
import { failureDetails } from '../operation/failures.ts';
import { agentsOf, type Agents, type Operation } from '../operation/operation.ts';
import { forwardOnly } from '../operation/point-of-no-return.ts';
import { run } from '../operation/run.ts';
import { sizeWords } from '../operation/words.ts';
import type { poolsOnHost, poolsOnStorage } from '../pools/activities.ts';
import { fromTheTop } from '../pools/from-the-top.ts';
import { withPool } from '../pools/waiting.ts';
import type { removalOnHost } from './activities.ts';
import { removalKind, type RemoveImageResult } from './kind.ts';
import type { RemovalPlan } from './plan.ts';
import type { RemoveImageInput } from './request.ts';

type OnHost = typeof removalOnHost & typeof chainOnHost & typeof poolsOnHost;
type OnStorage = typeof poolsOnStorage;

interface RemovalOperation extends Operation<typeof removalKind>, Agents<OnHost, OnStorage> {}

export function RemoveImage(request: RemoveImageInput): Promise<RemoveImageResult> {
  return run(removalKind, request, (opened) => {
    const op = Object.assign(opened, agentsOf<OnHost, OnStorage>(opened));
    acceptBandwidth(op, NOTHING_COPIED);
    return () => remove(op);
  });
}

/** The limit of a copy, of which a removal makes none. */
const NOTHING_COPIED = {
  assertPossible() {
    throw new Error('a removal copies nothing, so there is no limit to change');
  },
  apply: () => Promise.resolve(false),
};

const AGAIN_AFTER = '1 minute';

/** What a move left is retried without end: users do not repeat a request they did not make. */
async function remove(op: RemovalOperation): Promise<RemoveImageResult> {
  const { input } = op;
  for (;;) {
    try {
      return await removeOnce(op);
    } catch (error) {
      const failure = failureDetails(error);
      const waits = failure?.type === 'Refused' || failure?.type === 'Hold';
      const isLeft = input.left !== null || input.copies !== null;
      if (!isLeft || !waits || isCancellation(error)) throw error;
      const { now } = failure.details;
      await op.record('failed', `${partOf(input)}: ${now}; tried again every minute`);
      op.enter('waiting for the disk', {
        note: now,
        cancel: { possible: true, meaning: 'the volumes that are there stay' },
      });
      await sleep(AGAIN_AFTER);
      // A history has an end, the wait has none.
      if (workflowInfo().continueAsNewSuggested) return continueAsNew(input);
      op.enter('planning', { note: null });
    }
  }
}

const partOf = ({ copies }: RemoveImageInput) => (copies ? 'delete target' : 'delete source');

async function removeOnce(op: RemovalOperation): Promise<RemoveImageResult> {
  const { input } = op;
  const { copies } = input;
  const summary = `prove that nothing refers to ${op.id}`;
  const observe = () => op.host.observeRemovalPlan(input, summary);
  const plan = await (copies ? onceMounted(op, copies, observe) : observe()); // 1
  op.enter('planning', {
    jobId: op.jobId,
    chainBefore: plan.volumes.map((volume) => volume.path),
    imageBytes: plan.totalBytes,
  });
  const { sharedWith: hosts, volumes } = plan;
  await assertUnusedElsewhere(op, { attempted: `removing image ${op.id}`, hosts, volumes });
  op.part = partOf(input);
  if (copies) return removeCopies(op, copies);
  op.point.pass();
  return forwardOnly(() => removeVolumes(op, plan, input.wipe));
}

type Copies = NonNullable<RemoveImageInput['copies']>;

/** The pool may have been unavailable for as long as the copies are not wanted. */
const onceMounted = <T>(op: RemovalOperation, { to, jobId }: Copies, step: () => Promise<T>) =>
  withPool(op, { to, jobId, until: 'mounted' }, step);

/** 3, of copies: the faster one has them, this removal or a repeated request. */
async function removeCopies(op: RemovalOperation, copies: Copies): Promise<RemoveImageResult> {
  const input = { ...copies, targets: 'delete' as const };
  const { pool } = copies.to;
  const words = `delete the copies of job ${copies.jobId} in pool ${pool}`;
  op.enter('deleting');
  op.truth = 'what is left of the copies goes when the move or copy is requested again';
  const { outcome, ...done } = await onceMounted(op, copies, () =>
    op.spm(copies.to).ensureReservationAbsent(input, words),
  );
  const regained = `${sizeWords(done.regainedBytes)} regained`;
  const summary =
    outcome === 'kept'
      ? `a repeated request goes on with the copies of ${op.id}, which stay`
      : `removed the copies of job ${copies.jobId} from pool ${pool}: ${regained}`;
  return { outcome, summary, ...done, wiped: false, warnings: [] };
}

async function removeVolumes(
  op: RemovalOperation,
  plan: RemovalPlan,
  wipe: boolean,
): Promise<RemoveImageResult> {
  const deleted: string[] = [];
  const warnings: string[] = [];
  let regainedBytes = 0;
  for (const { pool, identity, part } of fromTheTop(plan.volumes)) {
    const spm = op.spm({ pool, identity });
    const gone = deleted.length === 0 ? '' : `${deleted.join(', ')} went, `;
    op.truth = `${gone}what has its name stays`;
    const input = { jobId: op.jobId, volumes: part };
    if (wipe) {
      op.enter('wiping');
      const words = `overwrite ${part.length} volume(s) of pool ${pool}`;
      const wiped = await spm.ensureVolumesWiped(input, words); // 2
      warnings.push(...wiped.warnings);
    }
    op.enter('deleting');
    const words = `delete ${part.length} volume(s) of pool ${pool}`;
    const done = await spm.ensureVolumesAbsent(input, words); // 3
    deleted.unshift(...done.deleted);
    regainedBytes += done.regainedBytes;
  }
  const count = `${deleted.length} volume(s), ${sizeWords(regainedBytes)} regained`;
  // No client waits for the report of what a move left: it is kept where users look later.
  const summary = [`removed ${op.id}: ${count}`, ...warnings].join('; ');
  const wiped = wipe && warnings.length === 0;
  const told = [...(plan.warnings ?? []), ...warnings];
  return { outcome: 'removed', summary, deleted, regainedBytes, wiped, warnings: told };
}
