/** What earlier reverts of a VM have left in its pools: notes of what they kept, or half done. */
import { refused } from '../../../../workflows/operation/failures.ts';
import { revertNote, type RevertNote } from '../../../../workflows/snapshot/revert/plan.ts';
import { readManifests } from '../../../pool-folder/reservation.ts';
import type { VmLook } from '../../chain/observe-vm.ts';
import { layerFolders } from '../planning/unfinished.ts';

/** The newest first. What is being deleted has none. */
export async function revertNotes(vm: VmLook): Promise<RevertNote[]> {
  const found = new Map<string, RevertNote>();
  for (const folder of await layerFolders(vm)) {
    for (const { content, owner } of await readManifests(folder)) {
      const { success, data: note } = revertNote.safeParse(content);
      if (!success || vmUuidOf(note) !== vm.uuid) continue;
      if (owner === null && note.state.phase !== 'begun') continue;
      const other = found.get(note.jobId);
      // Of several pools some may be a step further.
      if (!other || rank(note) < rank(other)) found.set(note.jobId, note);
    }
  }
  return [...found.values()].sort((a, b) => (a.time < b.time ? 1 : -1));
}

const vmUuidOf = ({ state }: RevertNote) =>
  state.phase === 'begun' ? state.plan.vmUuid : state.change.vmUuid;

/** Unfinished ones count: they are what has to be completed in every pool. */
const rank = ({ state }: RevertNote) => ['begun', 'undoing', 'kept', 'undone'].indexOf(state.phase);

/** @throws Refused `other-operation` */
export async function assertNoUnfinishedRevert(attempted: string, vm: VmLook): Promise<void> {
  for (const { state } of await revertNotes(vm)) {
    if (state.phase !== 'begun' && state.phase !== 'undoing') continue;
    const what = state.phase === 'begun' ? state.plan.snapshot : '--undo';
    throw refused('other-operation', {
      attempted,
      now: `\`snapshot revert ${vm.name} ${what}\` is unfinished; nothing was done`,
      next: `Finish it first: repeat \`blockflow snapshot revert ${vm.name} ${what}\``,
    });
  }
}
