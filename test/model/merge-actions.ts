/** What can happen to two disks of a VM and their merges. */
import { bandwidthUpdate, decideUpdate } from '../../workflows/operation/contract.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { Deeds, Named } from './engine.ts';
import { operationDeeds, vmDeeds, type OperationDetails, type VmDetails } from './shared-deeds.ts';
import type { TriedDisk } from './tried-disk.ts';

/** `disk` is 0 or 1; either stands for the whole VM. */
interface Disk {
  disk: number;
}
/** What needs no more words. */
export type Bare =
  | ('start' | 'start VM' | 'flush' | 'shut down' | 'fill' | 'free' | 'cancel' | 'terminate')
  | ('foreign job' | 'end foreign job' | 'lose job' | 'refuse pivot');
interface OfMerges {
  'kill QEMU': { unflushedSurvives: boolean };
  decide: { choice: 'pivot' | 'keep' };
  limit: { bytesPerSecond: number };
}
type OfAny = OperationDetails<object> & VmDetails & Record<Bare, object> & OfMerges;
export type Details = { [Name in keyof OfAny]: Disk & OfAny[Name] };
export type Action = Named<Details>;

const isRunning = (disk: TriedDisk) => disk.running() !== undefined;

export const deeds: Deeds<TriedDisk, Details> = {
  ...operationDeeds<object>(),
  ...vmDeeds,
  start: { act: (disk) => (isRunning(disk) ? expectRefused(disk) : disk.begin()) },
  'kill QEMU': {
    if: ({ vm }) => vm.state !== 'off',
    act: ({ vm }, { unflushedSurvives }) =>
      vm.machine.stop('shut off (crashed)', unflushedSurvives),
  },
  'start VM': { if: ({ vm }) => vm.state === 'off', act: ({ vm }) => vm.machine.start() },
  'foreign job': {
    if: ({ vm }) => vm.state === 'running' && vm.job === null,
    act(disk) {
      disk.vm.startForeignJob();
      disk.foreign = disk.vm.job;
    },
  },
  'end foreign job': {
    if: ({ foreign }) => foreign !== null,
    act: (disk) => (disk.vm.job = disk.foreign = null),
  },
  'lose job': { act: ({ vm }) => vm.jobsToLose++ },
  'refuse pivot': { act: ({ vm }) => (vm.pivotsToRefuse = Math.max(0, vm.pivotsToRefuse) + 1) },
  decide: { if: isRunning, act: (disk, { choice }) => decide(disk, choice) },
  limit: { if: isRunning, act: (disk, { bytesPerSecond }) => limit(disk, bytesPerSecond) },
};

async function decide(disk: TriedDisk, choice: 'pivot' | 'keep'): Promise<void> {
  const operation = disk.running();
  if ((await operation?.status)?.phase !== 'waiting for a decision') return;
  await operation?.handle.executeUpdate(decideUpdate, { args: [choice] });
  if (operation) operation.mustLeave = true;
}

async function limit(disk: TriedDisk, bytesPerSecond: number): Promise<void> {
  let answered = false;
  const update = disk.running()?.handle.executeUpdate(bandwidthUpdate, { args: [bytesPerSecond] });
  void update?.catch(() => undefined).finally(() => (answered = true));
  const arrived = () => answered || disk.agent.waiting().includes('ensureBandwidth');
  await waitUntil('the limit to be heard', arrived, { intervalMs: 3 });
}

/** I5: one operation a disk. */
async function expectRefused(disk: TriedDisk): Promise<void> {
  const second = await disk.start().catch((error: unknown) => error);
  if (second instanceof Error && second.name === 'WorkflowExecutionAlreadyStartedError') return;
  throw new Error(`a second operation of ${disk.vm.slug} was not refused`);
}
