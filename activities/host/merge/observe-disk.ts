/** The disk of a merge: what its job and its chain say of it. */
import type { BlockJob } from '../../../workflows/chain/schemas.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import type { MergePlan } from '../../../workflows/merge/plan.ts';
import type { DiskSwitch } from '../pivot/disk-switch.ts';
import type { DiskLook } from '../pivot/look-at-disk.ts';
import { isCommitInto } from '../pivot/our-commit.ts';

export const attempt = ({ vm, disk, top, base }: MergePlan) =>
  `merging ${top.path} into ${base.path} of ${operationId({ vm, disk })}`;

/** The merge of an active layer; of another one only what looks at the disk need to know. */
export function switchOf(plan: MergePlan): DiskSwitch {
  const { vm, vmUuid, disk, persistent, top, base } = plan;
  const nameOf = (path: string) => {
    if (plan.committed.some((volume) => volume.path === path)) return null;
    return path === base.path ? path : undefined;
  };
  const attempted = attempt(plan);
  const named = { vm, vmUuid, disk, persistent, attempted };
  return { ...named, job: 'active-commit', from: top, to: base, nameOf };
}

/** Whether the job is the commit of a plan; `job` is what the look found to run. */
export const isCommitOf = (plan: MergePlan, look: DiskLook, job: Pick<BlockJob, 'type'>) =>
  isCommitInto(plan.base.path, plan.mode, look.disk, job);

/**
 * True when base has what top has: a commit into our base is READY. A mirror to somewhere else is
 * a user's copy, and a pivot would make that the VM's disk.
 */
export async function isReady(look: DiskLook, plan: MergePlan): Promise<boolean> {
  const mirror = look.disk?.mirror;
  return mirror?.ready === true && (await isCommitOf(plan, look, { type: mirror.job }));
}
