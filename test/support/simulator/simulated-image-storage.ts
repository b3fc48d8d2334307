/** The SPM agent's activities on images, over VMs in memory. */
import { bug } from '../../../workflows/operation/failures.ts';
import type { StorageActivities } from '../../../activities/storage/index.ts';
import type { snapshotOnStorage } from '../../../workflows/snapshot/create/activities.ts';
import type { revertOnStorage } from '../../../workflows/snapshot/revert/activities.ts';
import type { ReservationEnd } from '../../../workflows/pools/activities.ts';
import { assertReserved, away } from './simulated-image-host.ts';
import {
  identityOf,
  isThere,
  manifestOf,
  referencesTo,
  reservationFolder,
  staged,
} from './simulated-images.ts';
import { again, passStrike } from './simulated-switch.ts';
import { quarantineAll, tombOf } from './simulated-deletion.ts';
import type { RealOnly } from './simulated-host.ts';
import { endOverlays } from './snapshots/simulated-overlays.ts';
import type { Implementations } from './simulated-waits.ts';

const MIB = 1048576;
const NOTHING: ReservationEnd = { outcome: 'removed', deleted: [], regainedBytes: 0 };

export const imageStorage: Implementations<
  Omit<
    StorageActivities,
    | ('ensureVolumesAbsent' | 'ensureTopAbsent' | 'observePresence' | RealOnly)
    | keyof typeof snapshotOnStorage
    | keyof typeof revertOnStorage
  >
> = {
  ensureImageReserved(vm, input) {
    const { plan, jobId } = input;
    const { pool } = plan.to;
    const manifest = manifestOf(pool, jobId);
    if (vm.images.away.has(pool)) throw again(`pool ${pool} is another file system`);
    const owner = vm.images.reservations.get(manifest)?.owner ?? null;
    if (plan.adopted && owner === null) return { outcome: 'gone' };
    vm.files.create(manifest);
    vm.images.reservations.set(manifest, input);
    vm.images.jobs.set(jobId, input);
    passStrike();
    for (const { name } of plan.volumes) {
      const further = (['copied', 'ready'] as const).some((stage) =>
        isThere(vm, staged(pool, jobId, name, stage)),
      );
      if (!further) vm.files.create(staged(pool, jobId, name, 'part'));
      passStrike('agent late');
    }
    vm.effects.push('reserve');
    return { outcome: 'reserved' };
  },
  ensureImageNamed(vm, job) {
    assertReserved(vm, job);
    const { plan, jobId } = job;
    for (const { name } of plan.volumes) {
      const ready = staged(plan.to.pool, jobId, name, 'ready');
      const path = `/${plan.to.pool}/${name}`;
      if (!isThere(vm, ready)) throw bug(`${ready} was to be named, but does not exist`);
      const isOurs = vm.files.link(ready, path) || identityOf(vm, path) === identityOf(vm, ready);
      if (!isOurs) return { outcome: 'taken', path };
      passStrike();
    }
    vm.effects.push('name');
    return { outcome: 'named' };
  },
  ensureReservationAbsent(vm, unwanted) {
    const { to, jobId, targets, owners } = unwanted;
    const { pool, folder: path } = to;
    if (vm.machine.notes.hasJob(jobId)) return endOverlays(vm.machine, unwanted);
    const folder = `${reservationFolder(pool, jobId)}/`;
    if (vm.images.away.has(pool)) throw away(path);
    const run = vm.images.reservations.get(manifestOf(pool, jobId));
    if (!run) return NOTHING;
    if (targets === 'delete') {
      const isAnothers = run.owner !== null && owners && !owners.includes(run.owner);
      if (isAnothers) return { ...NOTHING, outcome: 'kept' };
      run.owner = null;
      passStrike('agent late');
    }
    const reserved = [...vm.files].filter((path) => path.startsWith(folder));
    const ready = reserved.filter((path) => path.endsWith('.ready'));
    const files = new Set(ready.map((path) => identityOf(vm, path) ?? ''));
    const use = referencesTo(vm, files, false);
    const deleted: string[] = [];
    for (const file of targets === 'delete' ? ready : []) {
      const path = `/${pool}/${file.slice(folder.length, -'.ready'.length)}`;
      if (identityOf(vm, path) !== identityOf(vm, file)) continue;
      if (use) vm.violations.push(`${path} is deleted, and a ${use.kind} refers to it`);
      const isMirror = vm.mirror?.identity === identityOf(vm, file);
      if (isMirror) vm.violations.push(`${path} is deleted under its mirror`);
      vm.files.unlink(path);
      deleted.push(path);
      passStrike();
    }
    for (const path of reserved) vm.files.unlink(path);
    vm.images.reservations.delete(manifestOf(pool, jobId));
    vm.effects.push(`reservation-${targets}`);
    const regainedBytes = targets === 'delete' ? ready.length * MIB : 0;
    return { outcome: 'removed', deleted, regainedBytes };
  },
  ensureVolumesWiped(vm, { jobId, volumes }) {
    quarantineAll(vm, jobId, volumes);
    for (const volume of volumes.toReversed()) {
      const tomb = tombOf(jobId, volume.path);
      if (identityOf(vm, tomb) !== volume.identity) continue;
      vm.content.clear(tomb);
      passStrike();
    }
    return { warnings: [] };
  },
};
