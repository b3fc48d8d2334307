/** The overlays of a snapshot in their pools: reserved, listed, or deleted. */
import { retry } from '../../operation/failures.ts';
import { fileName } from '../../operation/words.ts';
import { eachPool, withPool } from '../../pools/waiting.ts';
import type { Taking } from './activities.ts';
import type { Creation } from './create-snapshot.ts';
import type { Overlay, SnapshotPlan } from './plan.ts';

/** Step 3, in each pool. */
export async function reserveOverlays(op: Creation, plan: SnapshotPlan): Promise<Overlay[]> {
  op.enter('reserving');
  const { jobId } = op;
  const overlays: Overlay[] = [];
  for (const to of poolsOf(plan)) {
    const reservation = { jobId, owner: jobId, workflow: op.id, snapshot: plan, pool: to.pool };
    const summary = `create the overlays of pool ${to.pool}`;
    const created = await withPool(op, { to, jobId, until: 'mounted' }, () =>
      op.spm(to).ensureOverlaysCreated(reservation, summary),
    );
    if (created.outcome === 'taken') throw nameTaken(op, created.path);
    overlays.push(...created.overlays);
  }
  return overlays;
}

/** Each pool that has disks of the snapshot. */
const poolsOf = ({ disks }: SnapshotPlan) => eachPool(disks.map(({ to }) => to));

/** Steps 5 and 6, also of what an earlier run has switched. */
export async function completeTaken(op: Creation, taking: Taking): Promise<void> {
  op.enter('listing');
  const summary = `let libvirt list snapshot ${taking.plan.snapshot}`;
  await op.host.ensureSnapshotListed(taking, summary);
  await removeReservations(op, taking, 'keep');
}

/** @param targets whether the overlays stay, under their final names */
export async function removeReservations(
  op: Creation,
  { plan, jobId }: Pick<Taking, 'plan' | 'jobId'>,
  targets: 'keep' | 'delete',
): Promise<void> {
  for (const to of poolsOf(plan)) {
    const what = targets === 'keep' ? 'the note of whose they are' : 'the overlays';
    const input = { to, jobId, targets, owners: null };
    await withPool(op, { to, jobId, until: 'mounted' }, () =>
      op.spm(to).ensureReservationAbsent(input, `remove ${what} from pool ${to.pool}`),
    );
  }
}

function nameTaken(op: Creation, path: string) {
  return retry('command-failed', {
    attempted: op.words,
    now: `${path} was made by another process meanwhile; it stays, and nothing was switched`,
    next: `Choose a name that gives another one than ${fileName(path)}, or remove that file`,
  });
}
