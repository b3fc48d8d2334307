/**
 * The deletion of snapshots that are inside of images: step 2 is a deletion in one image after the
 * other, under the locks of all disks; step 3 checks the images, and 4 has perhaps no record.
 *
 * Never atomic over disks: what has become of each is shown, a disk that fails stops no other one,
 * and the same request goes on with the rest. Only what the image says counts as done.
 */
import { CancellationScope } from '@temporalio/workflow';
import { failureDetails, ownFailure } from '../../operation/failures.ts';
import { forwardOnly } from '../../operation/point-of-no-return.ts';
import { holdDisks } from '../disk-locks.ts';
import { INSIDE_BEGUN } from '../inside/words.ts';
import type { Deletion } from './delete-snapshot.ts';
import type { DeleteSnapshotResult } from './kind.ts';
import type { GoingSnapshot, InnerPart } from './plan.ts';
import { assertDone, report, tell, type Plan, type Tally } from './tally.ts';
import { isDone } from './words.ts';

export async function removeInside(op: Deletion, plan: Plan): Promise<DeleteSnapshotResult> {
  const { snapshots } = plan.deletion;
  const parts = snapshots.flatMap(({ inside }) => inside?.parts ?? []);
  const tally: Tally = { results: [], failures: [] };
  const locks = await holdDisks(op, [...new Set(parts.map(({ disk }) => disk))]);
  const warnings = snapshots.flatMap(({ inside }) => inside?.warnings ?? []);
  try {
    await op.record(INSIDE_BEGUN, parts.map(partWords).join(', ') || 'no image has it inside');
    for (const snapshot of snapshots) {
      op.enter('deleting');
      await deleteParts(op, tally, plan, snapshot); // 2
      assertDone(op, tally, snapshot.name, true);
      if (snapshot === snapshots.at(-1)) {
        op.point.isBehind();
        warnings.push(...(await forwardOnly(() => leaveSound(op, plan)))); // 3
      }
      await forwardOnly(() => forget(op, plan, snapshot)); // 4
    }
  } finally {
    await locks.release();
  }
  return report(op, plan, [...tally.results, { deleted: [], regainedBytes: 0, warnings }]);
}

async function deleteParts(
  op: Deletion,
  tally: Tally,
  { deletion: { vm, vmUuid } }: Plan,
  { name, inside }: GoingSnapshot,
): Promise<void> {
  const parts = inside?.parts ?? [];
  const isBegun = () => op.status.disks.some(({ state }) => isDone(state));
  for (const part of parts) {
    if (CancellationScope.current().consideredCancelled) return;
    const shown = op.status.disks.find((one) => one.snapshot === name && one.disk === part.disk);
    if (!shown) continue;
    tell(op, shown, 'deleting');
    try {
      const summary = `delete ${partWords(part)}`;
      const done = await forwardOnly(() =>
        op.host.ensureInnerSnapshotAbsent({ vm, vmUuid, part, parts }, summary),
      );
      tally.results.push({ deleted: [], warnings: [], ...done });
      tell(op, shown, 'deleted');
    } catch (error) {
      const failure = ownFailure(error);
      if (!failure) throw error;
      tally.failures.push(failure);
      const isRefused = failure.type === 'Refused';
      tell(op, shown, isRefused ? 'refused' : 'failed', failureDetails(failure)?.details.now);
      if (isRefused && !isBegun()) return;
    }
  }
}

const partWords = ({ disk, handle: { id, name } }: InnerPart) =>
  `snapshot ${name} (id ${id}) inside of ${disk}`;

/** Also of images that an earlier run was done with. */
async function leaveSound(op: Deletion, { deletion }: Plan): Promise<string[]> {
  const { vm, vmUuid, snapshots } = deletion;
  const all = snapshots.flatMap(({ inside }) => inside?.images ?? []);
  const images = [...new Map(all.map((image) => [image.path, image])).values()];
  if (images.length === 0) return [];
  return op.host.ensureLeaksRepaired({ vm, vmUuid, images }, `check ${images.length} image(s)`);
}

async function forget(op: Deletion, plan: Plan, { name, inside }: GoingSnapshot): Promise<void> {
  op.enter('forgetting');
  op.truth = `no image has snapshot ${name} inside any more; libvirt may still list it`;
  if (inside?.record !== 'goes') return;
  const { vm, vmUuid } = plan.deletion;
  const summary = `remove snapshot ${name} from libvirt's list`;
  await op.host.ensureSnapshotForgotten({ vm, vmUuid, name }, summary);
}
