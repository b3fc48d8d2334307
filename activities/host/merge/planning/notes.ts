/** What a merge leaves behind, told before it and with its result. */
import { dirname } from 'node:path';
import type { MergePlan } from '../../../../workflows/merge/plan.ts';
import { memoryWords, otherDisksWords, undoEndsWords } from '../../../../workflows/merge/words.ts';
import { memoryFile, type Snapshot } from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import { isEndOfUndo, notesIn } from '../../snapshots/revert-notes.ts';
import { spellingsOf } from '../../snapshots/snapshots.ts';
import { linksTo } from '../../chain/links-to.ts';
import { droppedNotes } from '../../chain/dropped-options.ts';
import { copiedRecord } from '../../chain/read-record.ts';
import type { Chain } from '../../chain/observe-chain.ts';
import { shell } from '../../../../workflows/operation/names.ts';

interface Snapshots {
  /** The one that the request names. */
  named: string | undefined;
  snapshots: readonly Snapshot[];
}

/** What libvirt drops with the active layer of a running VM; what a raw one cannot have. */
function cacheNotes({ vm, disk, xmlDisk }: Chain, { mode, base, overlay }: MergePlan): string[] {
  if (overlay === null && base.format === 'raw') return droppedNotes(disk, xmlDisk);
  if (mode !== 'active' || xmlDisk.cache === null) return [];
  return [
    `libvirt drops the <metadata_cache> of disk ${disk} with its active layer: set it again ` +
      `with ${shell`virsh edit ${vm.name}`}`,
  ];
}

/**
 * The undo that is not possible afterwards, links that lead nowhere, files with the memory of
 * snapshots that lose a disk, other disks of the snapshot that was named, and a lost cache.
 */
export async function observeNotes(
  chain: Chain,
  plan: MergePlan,
  { named, snapshots }: Snapshots,
): Promise<string[]> {
  const { vm, disk, committed } = plan;
  const paths = committed.map(({ path }) => path);
  const gone = await spellingsOf(snapshots, paths);
  const memories = snapshots.flatMap((snapshot) => {
    const isLost = snapshot.disks.some(
      ({ name, source }) => name === disk && gone.has(source ?? ''),
    );
    const file = isLost && plan.deletes.length > 0 ? memoryFile(snapshot) : null;
    return file === null ? [] : [memoryWords(vm, snapshot.name, file)];
  });
  const disks = snapshots.find(({ name }) => name === named)?.disks ?? [];
  const others = disks.filter(({ name, kind }) => name !== disk && kind !== 'no');
  const also =
    named === undefined || others.length === 0
      ? []
      : [
          otherDisksWords(
            vm,
            named,
            others.map(({ name }) => name),
          ),
        ];
  const folders = new Set(plan.chainBefore.map(({ path }) => dirname(path)));
  const reverts = await notesIn(folders, chain.vm);
  const undo = isEndOfUndo(reverts, disk, plan) ? [undoEndsWords(vm, disk)] : [];
  const cache = cacheNotes(chain, plan);
  const links = await linksTo(chain, plan.deletes);
  const copied = copiedWords(chain, disk);
  return [...cache, ...undo, ...also, ...memories, ...links, ...copied];
}

function copiedWords({ live, persistentDomain }: Chain, disk: string): string[] {
  const record = copiedRecord(live ?? persistentDomain, disk);
  if (record === null) return [];
  const of = `VM ${record.vmUuid} (${record.workflow})`;
  return [`a job record of ${of}, from whose XML this VM was made, is ignored and replaced`];
}
