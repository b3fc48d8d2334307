/** The SPM agent's activities on overlays and on what reverts leave, over VMs in memory. */
import { bug, retry } from '../../../../workflows/operation/failures.ts';
import type { StorageActivities } from '../../../../activities/storage/index.ts';
import type { NamedVolume } from '../../../../workflows/chain/references.ts';
import type {
  ReservationEnd,
  UnwantedReservation,
} from '../../../../workflows/pools/activities.ts';
import type { snapshotOnStorage } from '../../../../workflows/snapshot/create/activities.ts';
import type { Overlay, PlannedDisk } from '../../../../workflows/snapshot/create/plan.ts';
import type { revertOnStorage } from '../../../../workflows/snapshot/revert/activities.ts';
import { leftIn } from '../../../../workflows/snapshot/revert/change.ts';
import type { RevertNote } from '../../../../workflows/snapshot/revert/plan.ts';
import { tombOf } from '../simulated-deletion.ts';
import { isLocked, reservationFolder, staged } from '../simulated-images.ts';
import type { SimulatedMachine } from '../simulated-machine.ts';
import { again, passStrike } from '../simulated-switch.ts';
import type { SimulatedVm } from '../simulated-vm.ts';
import type { Implementations } from '../simulated-waits.ts';
import type { Content } from './simulated-notes.ts';

type Simulated = keyof typeof snapshotOnStorage | keyof typeof revertOnStorage;

export const overlayStorage: Implementations<Pick<StorageActivities, Simulated>> = {
  ensureOverlaysCreated({ machine }, { pool, ...text }) {
    const disks = text.snapshot.disks.filter(({ to }) => to.pool === pool);
    return reserve(machine, { pool, disks, content: { of: 'snapshot', text } });
  },
  ensureRevertReserved({ machine }, { note, to: { pool } }) {
    const { state } = note;
    if (state.phase !== 'begun') throw bug(`a revert that is ${state.phase} was to be begun`);
    const disks = state.plan.disks.filter(({ to }) => to.pool === pool);
    return reserve(machine, { pool, disks, content: { of: 'revert', text: note } });
  },
  ensureLayersRetired({ machine }, { note, to: { pool } }) {
    const left = retiredIn(machine, note, pool);
    for (const { vm, volume, tomb } of left) {
      const isBoth = vm.files.identity(volume.path) === vm.files.identity(tomb);
      if (isBoth && vm.files.has(tomb)) vm.files.unlink(tomb);
    }
    const named = left.filter(
      ({ vm, volume }) => vm.files.identity(volume.path) === volume.identity,
    );
    for (const { vm, volume } of named) {
      if (isLocked(vm, volume.path)) throw again(`${volume.path} is opened; it is kept`);
    }
    for (const { vm, volume, tomb } of named.reverse()) {
      const isRecorded = vm.persistent.some(({ identity }) => identity === volume.identity);
      if (isRecorded) vm.violations.push(`${volume.path} is retired, and in the record`);
      vm.files.rename(volume.path, tomb);
      passStrike();
    }
    if (noteRevert(machine, pool, note)) return;
    const words = { attempted: 'retiring', now: `there is no note of ${note.jobId}`, next: 'Look' };
    throw retry('pool-away', words);
  },
  ensureLayersRestored({ machine }, { note, to: { pool } }) {
    const gone = (path: string) => ({ outcome: 'gone' as const, path });
    if (!noteRevert(machine, pool, note)) return gone(reservationFolder(pool, note.jobId));
    passStrike();
    for (const { vm, volume, tomb } of retiredIn(machine, note, pool)) {
      const { path, identity } = volume;
      if (vm.files.identity(tomb) !== identity) {
        if (vm.files.identity(path) === identity) continue;
        return gone(path);
      }
      if (!vm.files.link(tomb, path) && vm.files.identity(path) !== identity) {
        return { outcome: 'taken', path };
      }
      passStrike('agent late');
      vm.files.unlink(tomb);
    }
    return { outcome: 'restored' };
  },
  ensureRetiredAbsent({ machine }, { jobId, owner, to: { pool }, volumes }) {
    const done = { deleted: [] as string[], regainedBytes: 0 };
    const note = machine.notes.get(pool, jobId);
    if (!note) return { outcome: 'removed', ...done };
    if (note.owner !== null && note.owner !== owner) return { outcome: 'kept', ...done };
    if (note.owner !== null && isUnfinished(note.content)) return { outcome: 'unsettled', ...done };
    machine.notes.abandon(pool, jobId, [owner]);
    passStrike();
    for (const volume of volumes) {
      const tomb = tombOf(jobId, volume.path);
      const vm = machine.disks.find(({ files }) => files.has(tomb));
      if (!vm) continue;
      vm.files.unlink(tomb);
      machine.expired.add(volume.path);
      done.deleted.push(tomb);
    }
    passStrike('agent late');
    removeFolder(machine, pool, jobId);
    return { outcome: 'removed', ...done };
  },
};

/** A run has not put into quarantine yet what the disks have left, or are about to. */
const isUnfinished = (content: Content) =>
  content.of === 'revert' && ['begun', 'undoing'].includes(content.text.state.phase);

interface Reservation {
  pool: string;
  disks: readonly PlannedDisk[];
  content: Content;
}

/** Made out of sight, then named; `taken`: a final name is another file's, which stays. */
function reserve(machine: SimulatedMachine, { pool, disks, content }: Reservation) {
  const { jobId, owner } = content.text;
  machine.notes.write(pool, jobId, { owner, content });
  passStrike();
  for (const { disk, base, name } of disks) {
    machine.disk(disk).files.create(staged(pool, jobId, name, 'ready'), base.path);
  }
  passStrike('agent late');
  const overlays: Overlay[] = [];
  for (const { disk, name } of disks) {
    const { files } = machine.disk(disk);
    const [from, path] = [staged(pool, jobId, name, 'ready'), `/${pool}/${name}`];
    const identity = files.identity(from) ?? '';
    if (!files.link(from, path) && files.identity(path) !== identity) {
      return { outcome: 'taken' as const, path };
    }
    overlays.push({ disk, volume: { path, pool, identity } });
    passStrike('agent last');
  }
  return { outcome: 'created' as const, overlays };
}

function retiredIn(machine: SimulatedMachine, { jobId, state }: RevertNote, pool: string) {
  if (state.phase === 'begun') throw bug('a revert that is only begun has discarded nothing');
  const diskOf = ({ path }: NamedVolume): SimulatedVm => {
    const found = state.change.disks.find(({ from, to }) =>
      [from, to].some(({ volume }) => volume.path === path),
    );
    return machine.disk(found?.disk ?? '');
  };
  return leftIn(state.change, pool).map((volume) => ({
    vm: diskOf(volume),
    volume,
    tomb: tombOf(jobId, volume.path),
  }));
}

/** Goes on with the note, and writes what is so now; the second names of overlays go. */
function noteRevert(machine: SimulatedMachine, pool: string, text: RevertNote): boolean {
  const { jobId, owner } = text;
  if (!machine.notes.claim(pool, jobId, owner)) return false;
  machine.notes.write(pool, jobId, { owner, content: { of: 'revert', text } });
  unlinkStaged(machine, pool, jobId);
  return true;
}

const stagedIn = (vm: SimulatedVm, pool: string, jobId: string) =>
  [...vm.files].filter((path) => path.startsWith(`${reservationFolder(pool, jobId)}/`));

function unlinkStaged(machine: SimulatedMachine, pool: string, jobId: string): void {
  for (const vm of machine.disks) {
    for (const path of stagedIn(vm, pool, jobId)) vm.files.unlink(path);
  }
}

function removeFolder(machine: SimulatedMachine, pool: string, jobId: string): void {
  unlinkStaged(machine, pool, jobId);
  machine.notes.remove(pool, jobId);
}

/** The end of a reservation of overlays, with them where they are not wanted. */
export function endOverlays(
  machine: SimulatedMachine,
  { to: { pool }, jobId, targets, owners }: UnwantedReservation,
): ReservationEnd {
  const deleted: string[] = [];
  const end = { deleted, regainedBytes: 0 };
  if (targets === 'delete') {
    if (!machine.notes.abandon(pool, jobId, owners)) return { outcome: 'kept', ...end };
    passStrike();
    for (const vm of machine.disks) {
      for (const from of stagedIn(vm, pool, jobId)) {
        const path = from.replace(reservationFolder(pool, jobId), `/${pool}`).slice(0, -6);
        if (vm.files.identity(path) !== vm.files.identity(from)) continue;
        assertUnnamed(vm, path);
        vm.files.unlink(path);
        deleted.push(path);
        passStrike('agent late');
      }
    }
  }
  removeFolder(machine, pool, jobId);
  passStrike('agent last');
  return { outcome: 'removed', ...end };
}

/** An overlay that anything writes, boots or lists is never deleted (I3). */
function assertUnnamed(vm: SimulatedVm, path: string): void {
  const identity = vm.files.identity(path);
  const chains = [vm.persistent, vm.state === 'off' ? [] : vm.live, vm.unseen ?? []];
  const isUsed = chains.flat().some((volume) => volume.identity === identity);
  const isListed = vm.machine.tree.points.some(
    ({ disks, domain }) => disks.get(vm.disk)?.source === path || domain.get(vm.disk) === path,
  );
  if (isUsed || isListed) vm.violations.push(`${path} is deleted, and something refers to it`);
}
