/**
 * An inner merge changes files that stand for snapshots, and not what they stand for. A revert,
 * which takes a layer that was modified after its snapshot for another one, must not see a change.
 */
import type { MergePlan } from '../../../workflows/merge/plan.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { setModified } from '../../adapters/files/attributes.ts';

/** Base is as old as what was merged into it, and the header above as its data. */
export async function keepTimes(plan: MergePlan): Promise<void> {
  const { base, top, overlay, overlayModifiedNs, chainBefore } = plan;
  const merged = await observeFile(top.path);
  if (merged?.identity === top.identity) await setModified(base, merged.modifiedNs);
  const isBelow = overlay && overlay.path !== chainBefore.at(-1)?.path;
  if (isBelow && overlayModifiedNs) await setModified(overlay, overlayModifiedNs);
}
