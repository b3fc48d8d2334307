/** Whether the overlays of a plan were made for it: a guest, and a record, get nothing else. */
import { dirname, join } from 'node:path';
import type { CopyTarget, NamedVolume } from '../../../workflows/chain/references.ts';
import type { Taking } from '../../../workflows/snapshot/create/activities.ts';
import type { Overlay } from '../../../workflows/snapshot/create/plan.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { namesIn } from '../../adapters/qemu-img/names-in.ts';
import { identityIn } from '../../pool-folder/id.ts';
import { madeForJob } from '../../pool-folder/made-for-job.ts';

interface Planned {
  disk: string;
  to: CopyTarget;
  name: string;
  base: NamedVolume;
}

interface Made {
  jobId: string;
  disks: readonly Planned[];
  overlays: readonly Overlay[];
}

/** In words: one that is not, or that stands on another layer; null when all are. */
export async function strangeOverlay({ jobId, disks, overlays }: Made): Promise<string | null> {
  for (const { disk, to, name, base } of disks) {
    const path = join(to.folder, name);
    const made = await madeForJob({ to, jobId, name });
    if (made === null || made !== (await toldOf(overlays, disk))) {
      return `${path} is not the overlay that was made (any more)`;
    }
    if (!(await standsOn(path, base))) return `${path} does not stand on ${base.path}`;
  }
  return null;
}

const toldOf = async (overlays: readonly Overlay[], disk: string) => {
  const told = overlays.find((overlay) => overlay.disk === disk)?.volume;
  return told ? identityIn(dirname(told.path), told) : null;
};

async function standsOn(overlay: string, base: NamedVolume): Promise<boolean> {
  const wanted = await identityIn(dirname(base.path), base);
  const { backing, dataFile } = await namesIn(overlay);
  const found = await Promise.all(backing.map((path) => observeFile(path)));
  const isOnBase = found.some((file) => file !== null && file.identity === wanted);
  return isOnBase && dataFile.length === 0;
}

/** Of an overlay that the guest writes already, the record gets that one and no other. */
export async function unlikeLive({ plan, overlays }: Taking): Promise<string | null> {
  for (const { disk, to, name } of plan.disks) {
    const path = join(to.folder, name);
    const file = await observeFile(path);
    if (file?.identity !== (await toldOf(overlays, disk))) return path;
  }
  return null;
}
