/** What can happen to two disks of a VM and their merges, as data: fast-check draws and shrinks. */
import { bandwidthUpdate, decideUpdate } from '../../workflows/operation/contract.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { Fate } from './stepped-agent.ts';
import type { TriedDisk } from './tried-disk.ts';

export type World = readonly TriedDisk[];

/** What needs no more words. */
export type Deed =
  | ('start' | 'flush' | 'shut down' | 'start VM' | 'fill' | 'free' | 'cancel' | 'terminate')
  | ('foreign job' | 'end foreign job' | 'lose job' | 'refuse pivot');

/** `disk` is 0 or 1; either stands for the whole VM. */
export type Action = { disk: number } & (
  | { do: Deed }
  | { do: 'step'; fate: Fate; which: number }
  | { do: 'steps'; count: number }
  | { do: 'pass'; ms: number }
  | { do: 'write'; block: number }
  | { do: 'kill QEMU'; unflushedSurvives: boolean }
  | { do: 'decide'; choice: 'pivot' | 'keep' }
  | { do: 'limit'; bytesPerSecond: number }
);

/** False for what cannot happen now; such a command is left out. */
export function isPossible(world: World, action: Action): boolean {
  const { vm, agent, isRunning, foreign } = diskOf(world, action);
  const isUp = vm.state === 'running';
  switch (action.do) {
    case 'step':
      return isRunning && agent.waiting().length > 0;
    case 'steps':
      return isRunning && agent.waiting().length + agent.inside > 0;
    case 'write':
    case 'flush':
    case 'shut down':
      return isUp;
    case 'kill QEMU':
      return vm.state !== 'off';
    case 'start VM':
      return vm.state === 'off';
    case 'foreign job':
      return isUp && vm.job === null;
    case 'end foreign job':
      return foreign !== null;
    case 'cancel':
    case 'terminate':
    case 'decide':
    case 'limit':
      return isRunning;
    default:
      return true;
  }
}

const diskOf = (world: World, { disk }: Action) => world[disk] as TriedDisk;

/** Lets it happen, waits until nothing moves, and checks what must always hold. */
export async function happen(world: World, action: Action): Promise<void> {
  const acted = diskOf(world, action);
  acted.happened++;
  await perform(acted, action);
  for (const disk of world) {
    if (disk.foreign && disk.vm.state === 'off') disk.foreign = null;
    await disk.settle();
    disk.check();
  }
}

async function perform(disk: TriedDisk, action: Action): Promise<void> {
  const { vm, agent } = disk;
  switch (action.do) {
    case 'start':
      return disk.isRunning ? expectRefused(disk) : disk.begin();
    case 'step':
      return void agent.step(action.fate, action.which);
    case 'steps':
      return goOn(disk, action.count);
    case 'pass':
      return vm.machine.pass(action.ms);
    case 'write':
      return vm.write(action.block);
    case 'flush':
      return vm.flush();
    case 'kill QEMU':
      return vm.machine.stop('shut off (crashed)', action.unflushedSurvives);
    case 'shut down':
      return vm.machine.stop('shut off (shutdown)');
    case 'start VM':
      return vm.machine.start();
    case 'fill':
    case 'free':
      return void (vm.freeBytes = action.do === 'fill' ? 0 : 1e12);
    case 'foreign job':
      vm.startForeignJob();
      return void (disk.foreign = vm.job);
    case 'end foreign job':
      vm.job = null;
      return void (disk.foreign = null);
    case 'lose job':
      return void vm.jobsToLose++;
    case 'refuse pivot':
      return void (vm.pivotsToRefuse = Math.max(0, vm.pivotsToRefuse) + 1);
    default:
      return tell(disk, action);
  }
}

/** What a user says to a running operation. */
async function tell(disk: TriedDisk, action: Action): Promise<void> {
  const { handle, agent } = disk;
  if (!handle) return;
  switch (action.do) {
    case 'cancel':
      disk.refusesCancel ||= !(await disk.status).cancel.possible;
      await handle.cancel();
      disk.mustLeave = true;
      // It is answered after the cancel was heard; or the operation is over.
      return void (await disk.status.catch(() => undefined));
    case 'terminate':
      await handle.terminate();
      agent.drop();
      return void (await waitUntil('the end', () => !disk.isRunning && agent.inside === 0));
    case 'decide':
      if ((await disk.status).phase !== 'waiting for a decision') return;
      await handle.executeUpdate(decideUpdate, { args: [action.choice] });
      return void (disk.mustLeave = true);
    case 'limit': {
      let answered = false;
      const update = handle.executeUpdate(bandwidthUpdate, { args: [action.bytesPerSecond] });
      void update.catch(() => undefined).finally(() => (answered = true));
      const arrived = () => answered || agent.waiting().includes('ensureBandwidth');
      return void (await waitUntil('the limit to be heard', arrived, { intervalMs: 3 }));
    }
  }
}

/** I5: one operation a disk. */
async function expectRefused(disk: TriedDisk): Promise<void> {
  const second = await disk.start().catch((error: unknown) => error);
  if (second instanceof Error && second.name === 'WorkflowExecutionAlreadyStartedError') return;
  throw new Error(`a second operation of ${disk.vm.slug} was not refused`);
}

/** Steps without faults; time passes when there is nothing else to do. */
async function goOn(disk: TriedDisk, count: number): Promise<void> {
  for (let i = 0; i < count && disk.isRunning; i++) {
    if (!disk.agent.step('well')) disk.vm.machine.pass(150);
    await disk.settle();
  }
}
