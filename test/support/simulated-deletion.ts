/** How volumes go in memory: a rename, then the deletion. */
import { hold } from '../../workflows/failures.ts';
import type { NamedVolume } from '../../workflows/schemas.ts';
import { identityOf, isLocked, isThere, referencesTo } from './simulated-images.ts';
import { again, passStrike } from './simulated-switch.ts';
import type { SimulatedVm } from './simulated-vm.ts';

const MIB = 1048576;

export function tombOf(jobId: string, path: string): string {
  const [, pool = '', name = ''] = path.split('/');
  return `/${pool}/.blockflow/${jobId}-${name}`;
}

/**
 * What must not be deleted is a violation, whatever comes after.
 * @param all what is deleted together, and may refer to each other
 */
export function quarantine(
  vm: SimulatedVm,
  { path, identity }: NamedVolume,
  tomb: string,
  all: readonly NamedVolume[],
): void {
  if (identityOf(vm, path) !== identity) return;
  const use = referencesTo(vm, new Set(all.map((volume) => volume.identity)), false);
  if (!vm.proven.has(identity)) vm.violations.push(`${path} is deleted and was not proven unused`);
  if (use) vm.violations.push(`${path} is deleted, and a ${use.kind} refers to it`);
  if (use?.kind === 'domain' || isLocked(vm, path)) {
    vm.switchRefused = true;
    const now = `${path} is opened; it is kept`;
    throw hold('unproven', { attempted: 'deleting', now, next: 'Look' });
  }
  vm.files.rename(path, tomb);
  vm.images.deleted.push(identity);
  passStrike();
}

/** @returns the bytes regained; null when another file has the name by now */
export function bury(
  vm: SimulatedVm,
  volume: NamedVolume,
  jobId: string,
  all: readonly NamedVolume[],
): number | null {
  const { path, identity } = volume;
  const tomb = tombOf(jobId, path);
  const named = identityOf(vm, path);
  if (named !== null && named !== identity && !isThere(vm, tomb)) return null;
  if (vm.images.isAway(path)) throw again(`${path} is not mounted`);
  quarantine(vm, volume, tomb, all);
  return vm.files.unlink(tomb) ? MIB : 0;
}
