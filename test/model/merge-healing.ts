/** The end of a model run: all faults end, and the same request is made until it is fulfilled. */
import { decideUpdate } from '../../workflows/operation/contract.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { TriedDisk } from './tried-disk.ts';

const STARTS = 4;

/** @param leaveOff the VM stays down, and is merged so */
export async function heal(disks: readonly TriedDisk[], leaveOff: boolean): Promise<void> {
  for (const { vm, agent } of disks) {
    if (vm.job?.mode === 'foreign') vm.job = null;
    Object.assign(vm, { freeBytes: 1e12, diverges: false });
    // What is still to come may come: it ends by itself.
    vm.jobsToLose = Math.min(vm.jobsToLose, 2);
    vm.pivotsToRefuse = Math.min(vm.pivotsToRefuse, 2);
    vm.machine.goOn();
    agent.open();
  }
  for (const disk of disks) disk.foreign = null;
  // To wait for a decision is refused while the VM is down.
  const mustRun = disks.some(({ wish }) => wish.request.waitForDecision);
  if (!leaveOff || mustRun) await started(disks);
  await Promise.all(disks.map(fulfil));
  for (const { vm } of disks) Object.assign(vm, { jobsToLose: 0, pivotsToRefuse: 0 });
  for (const disk of disks) await checkAtRest(disk);
}

/** qemu-img, which has its locks, may have to end first. */
async function started(disks: readonly TriedDisk[]): Promise<void> {
  const machine = disks[0]?.vm.machine;
  await waitUntil('the VM to start', () => {
    machine?.start();
    return machine?.state !== 'off';
  });
}

async function fulfil(disk: TriedDisk): Promise<void> {
  for (let starts = 0; starts < STARTS; starts++) {
    if (!disk.running() && isFulfilled(disk)) return;
    if (!disk.running()) await disk.begin();
    await waitUntil(
      () => `${disk.vm.slug} to end (${disk.vm.calls.slice(-3).join(', ')})`,
      () => isOverOrDecided(disk),
      { timeoutMs: 30_000 },
    );
    disk.checkEnd();
  }
  throw new Error(`${disk.vm.slug} ended as ${disk.ends.join(', ')} and never as it was asked`);
}

const isFulfilled = ({ operations }: TriedDisk) =>
  ['merged', 'already-done', 'kept'].includes(operations.at(-1)?.end ?? '');

async function isOverOrDecided(disk: TriedDisk): Promise<boolean> {
  const operation = disk.running();
  if (!operation) return true;
  if (!disk.wish.request.waitForDecision) return false;
  const { phase } = await operation.status;
  if (phase !== 'waiting for a decision') return false;
  // It may end, or go on without its job, before it hears this.
  await operation.handle.executeUpdate(decideUpdate, { args: ['pivot'] }).catch(() => undefined);
  return false;
}

/** Everything that was ever acknowledged is there when the VM has been started again. */
async function checkAtRest(disk: TriedDisk): Promise<void> {
  const { vm } = disk;
  vm.flush();
  disk.check();
  vm.stop('shut off (crashed)');
  vm.machine.start();
  disk.check();
  await disk.checkEvents();
}
