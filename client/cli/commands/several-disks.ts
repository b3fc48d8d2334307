/** `move` and `copy` of several disks of a VM, or of all. */
import { usage } from '../../library/failure.ts';
import { followStarted } from './started.ts';
import type { Screen } from '../screen.ts';
import { withBlockflow } from './command.ts';
import { printPlan, type Options } from './images.ts';

interface Asked {
  vm: string;
  /** None for all. */
  disks: string[];
  verb: 'move' | 'copy';
}

export async function runDisks(
  screen: Screen,
  { vm, disks, verb }: Asked,
  options: Options,
): Promise<number> {
  assertForAll(vm, options);
  const { parseRate } = await import('../arguments/rate.ts');
  const { parsePause } = await import('../arguments/duration.ts');
  const { parseVmOrDisk } = await import('../arguments/disk-argument.ts');
  const { to, verify, format, preallocation, bandwidth, maxPause, host } = options;
  const {
    wipe = false,
    flatten = false,
    waitForDecision = false,
    synchronousWrites = false,
  } = options;
  const request = {
    vm: parseVmOrDisk(vm).vm,
    ...{ to, verify, format, preallocation, flatten, wipe, waitForDecision, synchronousWrites },
    converge: options.converge ?? false,
    onVmStop: options.onVmStop ?? 'fail',
    sources: verb === 'copy' ? ('keep' as const) : ('delete' as const),
    ...(disks.length === 0 ? {} : { disks }),
    ...(bandwidth === undefined ? {} : { bandwidthBytesPerSecond: parseRate(bandwidth) }),
    ...(maxPause === undefined ? {} : { maxPauseMs: parsePause(maxPause) }),
    ...(host === undefined ? {} : { host }),
  };
  return withBlockflow(options, async (blockflow) => {
    if (!options.dryRun) return followStarted(screen, await blockflow.moveDisks(request), options);
    const plan = await blockflow.planDisks(request);
    const { disksPlanLines } = await import('../render/disks-plan.ts');
    return printPlan(screen, plan, disksPlanLines(plan, request), options);
  });
}

/** @throws BlockflowError Usage for an option that is of one image */
function assertForAll(vm: string, options: Options): void {
  const { name, sourceFormat } = options;
  const given = [
    ...(name === undefined ? [] : ['--name']),
    ...(sourceFormat === undefined ? [] : ['--source-format']),
  ];
  if (given.length === 0 && !vm.includes('/')) return;
  const now = vm.includes('/') ? 'it names a disk already' : `${given.join(' and ')} is for one`;
  throw usage(`reading several disks of ${vm}`, now, 'Name one disk: VM/DISK');
}
