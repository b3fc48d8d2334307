/** What a merge leaves behind, told before it and with its result. */
import type { MergePlan } from '../../../../workflows/merge/plan.ts';
import { onlyOf } from '../../../adapters/libvirt-xml/xml.ts';
import type { Snapshot } from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import { linksTo } from '../../chain/links-to.ts';
import type { Chain } from '../../chain/observe-chain.ts';

/** Links that lead nowhere afterwards, and files with the memory of snapshots that go. */
export async function observeNotes(
  chain: Chain,
  plan: MergePlan,
  snapshots: readonly Snapshot[],
): Promise<string[]> {
  const deleted = plan.snapshots.filter(({ action }) => action === 'delete');
  const memories = deleted.flatMap(({ name }) => {
    const snapshot = snapshots.find((candidate) => candidate.name === name);
    const root = snapshot ? onlyOf(snapshot.document, 'domainsnapshot') : null;
    const file = onlyOf(root, 'memory')?.attributes['file'];
    return file === undefined ? [] : [`the guest's memory of snapshot ${name} stays in ${file}`];
  });
  return [...memories, ...(await linksTo(chain, plan.deletes))];
}
