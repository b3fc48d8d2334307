/** A change of a VM's disks that a revert has noted: no other one is made. */
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { backwards, changeOf } from '../../../../workflows/snapshot/revert/change.ts';
import type {
  DiskSwitch,
  RevertNote,
  RevertPlan,
} from '../../../../workflows/snapshot/revert/plan.ts';
import { observeFile } from '../../../adapters/files/files.ts';
import { identityIn } from '../../../pool-folder/id.ts';
import type { HostDeps } from '../../deps.ts';
import { notesIn } from '../../snapshots/revert-notes.ts';
import { observeSnapshots } from '../../snapshots/snapshots.ts';
import { strangeOverlay } from '../made-overlays.ts';
import { layerOf } from './discarded.ts';

/** In words, why it is none; null when the notes in all of its pools say so. */
export async function notNoted(deps: HostDeps, change: DiskSwitch): Promise<string | null> {
  const folders = change.disks.flatMap(({ from, to }) => [from.to.folder, to.to.folder]);
  for (const folder of new Set(folders)) {
    const notes = await notesIn([folder], { uuid: change.vmUuid });
    const found = await Promise.all(notes.map((note) => isChangeOf(deps, note, change)));
    if (!found.includes(true)) return `no note of a revert in ${folder} says so (any more)`;
  }
  return null;
}

async function isChangeOf(deps: HostDeps, note: RevertNote, change: DiskSwitch): Promise<boolean> {
  const { state, jobId } = note;
  if (state.phase === 'undoing') return isDeepStrictEqual(backwards(state.change), change);
  if (state.phase !== 'begun') return false;
  const { plan } = state;
  const overlays = change.disks.map(({ disk, to: { volume } }) => ({ disk, volume }));
  if (!isDeepStrictEqual(changeOf(plan, overlays), change)) return false;
  const isNamed = plan.disks.every(({ disk, to, name }) =>
    overlays.some((one) => one.disk === disk && one.volume.path === join(to.folder, name)),
  );
  const strange = await strangeOverlay({ jobId, disks: plan.disks, overlays });
  return isNamed && strange === null && (await isOfSnapshot(deps, plan));
}

/** What libvirt lists says which layers the VM may go back to. */
async function isOfSnapshot(deps: HostDeps, plan: RevertPlan): Promise<boolean> {
  const all = await observeSnapshots(deps, plan.vmUuid);
  const snapshot = all.find(({ name }) => name === plan.snapshot);
  if (!snapshot) return false;
  for (const { disk, base } of plan.disks) {
    const layer = layerOf(snapshot, disk);
    const file = layer === null ? null : await observeFile(layer);
    const planned = await identityIn(dirname(base.path), base);
    if (file === null || file.identity !== planned) return false;
  }
  return true;
}
