/** What earlier reverts of a VM have left in its pools: notes of what they kept, or half done. */
import { refused } from '../../../workflows/operation/failures.ts';
import type { Volume } from '../../../workflows/chain/schemas.ts';
import { revertNote, type RevertNote } from '../../../workflows/snapshot/revert/plan.ts';
import { observeFile, type FileFacts } from '../../adapters/files/files.ts';
import { quarantinePathOf } from '../../pool-folder/quarantine.ts';
import { readManifests } from '../../pool-folder/reservation.ts';
import { layerFolders, type VmLook } from '../chain/observe-vm.ts';
import { shell } from '../../../workflows/operation/names.ts';

type Layered = Pick<VmLook, 'uuid' | 'live' | 'persistentDomain'>;

/** All of a VM, the newest first. */
export const revertNotes = async (vm: Layered): Promise<RevertNote[]> =>
  notesIn(await layerFolders(vm), vm);

/** Those of the VM in these folders of layers, the newest first. What is being deleted has none. */
export async function notesIn(
  folders: Iterable<string>,
  { uuid }: Pick<VmLook, 'uuid'>,
): Promise<RevertNote[]> {
  const found = new Map<string, RevertNote>();
  for (const folder of folders) {
    for (const { content, owner } of await readManifests(folder)) {
      const { success, data: note } = revertNote.safeParse(content);
      if (!success || vmUuidOf(note) !== uuid) continue;
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

/** A layer that a revert, or an undo, has discarded and still keeps; null without. */
export async function keptLayer(
  path: string,
  notes: readonly RevertNote[],
): Promise<FileFacts | null> {
  for (const { jobId, state } of notes) {
    if (!discardableIn(state).some(({ volume }) => volume.path === path)) continue;
    const file = await observeFile(quarantinePathOf(path, jobId));
    if (file) return file;
  }
  return null;
}

/** Of one that is begun the layers may be in quarantine before its note says so. */
const discardableIn = (state: RevertNote['state']) =>
  state.phase === 'begun'
    ? state.plan.disks.map(({ retired }) => retired)
    : state.change.disks.flatMap(({ from, to }) => [from, to]);

/** Whether a merge of these layers of a disk makes the undo of a revert impossible. */
export const isEndOfUndo = (
  notes: readonly RevertNote[],
  disk: string,
  { base, committed }: { base: Volume; committed: readonly Volume[] },
): boolean =>
  notes.some(({ state }) => {
    const kept = state.phase === 'kept' && state.change.disks.find((each) => each.disk === disk);
    if (!kept) return false;
    const changed = [base, ...committed].map(({ path }) => path);
    const isGone = committed.some(({ path }) => path === kept.to.volume.path);
    return isGone || kept.below.some(({ path }) => changed.includes(path));
  });

/** @throws Refused `other-operation` */
export async function assertNoUnfinishedRevert(attempted: string, vm: VmLook): Promise<void> {
  for (const { state } of await revertNotes(vm)) {
    if (state.phase !== 'begun' && state.phase !== 'undoing') continue;
    const what = state.phase === 'begun' ? state.plan.snapshot : '--undo';
    throw refused('other-operation', {
      attempted,
      now: `${shell`snapshot revert ${vm.name} ${what}`} is unfinished; nothing was done`,
      next: `Finish it first: repeat ${shell`blockflow snapshot revert ${vm.name} ${what}`}`,
    });
  }
}
