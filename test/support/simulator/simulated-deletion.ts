/** How volumes go in memory: a rename, then the deletion. */
import { hold } from '../../../workflows/operation/failures.ts';
import type { NamedVolume } from '../../../workflows/chain/references.ts';
import { identityOf, isLocked, isThere, referencesTo } from './simulated-images.ts';
import { again, passStrike } from './simulated-switch.ts';
import type { SimulatedVm } from './simulated-vm.ts';

const MIB = 1048576;

export function tombOf(jobId: string, path: string): string {
  const [, pool = '', name = ''] = path.split('/');
  return `/${pool}/.blockflow/${jobId}-${name}`;
}

/**
 * All of them, active layer first, or none while one is open. What must not be deleted is a
 * violation, whatever comes after.
 */
export function quarantineAll(vm: SimulatedVm, jobId: string, all: readonly NamedVolume[]): void {
  const isBuried = ({ path, identity }: NamedVolume) =>
    identityOf(vm, tombOf(jobId, path)) === identity;
  const isBegun = all.some(isBuried);
  const named = all.filter(({ path, identity }) => identityOf(vm, path) === identity).reverse();
  for (const volume of named) assertClosed(vm, volume, isBegun);
  for (const volume of named) quarantine(vm, volume, tombOf(jobId, volume.path), all);
}

function assertClosed(vm: SimulatedVm, { path, identity }: NamedVolume, isBegun: boolean): void {
  const use = referencesTo(vm, new Set([identity]), false);
  if (use?.kind !== 'domain' && !isLocked(vm, path)) return;
  vm.switchRefused = true;
  const now = `${path} is opened; it is kept`;
  if (isBegun) throw again(now);
  throw hold('unproven', { attempted: 'deleting', now, next: 'Look' });
}

function quarantine(
  vm: SimulatedVm,
  { path, identity }: NamedVolume,
  tomb: string,
  all: readonly NamedVolume[],
): void {
  if (identityOf(vm, path) !== identity) return;
  const use = referencesTo(vm, new Set(all.map((volume) => volume.identity)), false);
  if (!vm.proven.has(identity)) vm.violations.push(`${path} is deleted and was not proven unused`);
  if (use) vm.violations.push(`${path} is deleted, and a ${use.kind} refers to it`);
  if (vm.inner.of(path).length > 0) vm.violations.push(`${path} is deleted with what is inside`);
  vm.files.rename(path, tomb);
  vm.images.deleted.push(identity);
  passStrike();
}

/** @returns the bytes regained; null when another file now has the name */
export function bury(vm: SimulatedVm, { path }: NamedVolume, jobId: string): number | null {
  const tomb = tombOf(jobId, path);
  if (isThere(vm, path) && !isThere(vm, tomb)) return null;
  if (vm.images.isAway(path)) throw again(`${path} is not mounted`);
  return vm.files.unlink(tomb) ? MIB : 0;
}
