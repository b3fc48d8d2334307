/** A move that was ended after its switch, before it had deleted its source. */
import { dirname } from 'node:path';
import { refused } from '../../workflows/operation/failures.ts';
import { operationId } from '../../workflows/chain/references.ts';
import { shell } from '../../workflows/operation/names.ts';
import { copyPaths } from '../../workflows/transfer/copied.ts';
import { reservation, type Reservation } from '../../workflows/transfer/plan.ts';
import { readManifests } from './reservation.ts';

interface DiskOfVm {
  vm: { name: string; uuid: string };
  disk: string;
  /** Its chain. */
  volumes: readonly { path: string }[];
}

type Run = Pick<Reservation, 'plan'> & { owner: string | null };

/** True when the disk of this chain stands on copies of that run, which switched it. */
export const isUnfinishedOn = (volumes: DiskOfVm['volumes'], { plan, owner }: Run) =>
  owner !== null &&
  plan.vm !== null &&
  copyPaths(plan).some((copy) => volumes.some(({ path }) => path === copy));

/**
 * The move is told by its copies where it left off: with another chain it would not be found, and
 * its source stay.
 * @throws Refused `other-operation`
 */
export async function assertNoUnfinishedMove(attempted: string, of: DiskOfVm): Promise<void> {
  const run = await unfinishedMove(of);
  if (run) throw unfinished(attempted, of, run);
}

/**
 * For a move, which finishes those of its own name, but not one that began before its VM was
 * renamed: that may still run.
 * @throws Refused `other-operation`
 */
export async function assertNotRenamedMeanwhile(attempted: string, of: DiskOfVm): Promise<void> {
  const run = await unfinishedMove(of);
  if (run && run.workflow !== idOf(of)) throw unfinished(attempted, of, run);
}

const idOf = ({ vm, disk }: DiskOfVm) => operationId({ vm: vm.name, disk });

async function unfinishedMove({ vm, disk, volumes }: DiskOfVm): Promise<Reservation | null> {
  for (const folder of new Set(volumes.map(({ path }) => dirname(path)))) {
    for (const { content, owner } of await readManifests(folder)) {
      const { data: run } = reservation.safeParse(content);
      if (!run || !isUnfinishedOn(volumes, { ...run, owner })) continue;
      if (run.plan.vm?.uuid === vm.uuid && run.plan.vm.disk === disk) return run;
    }
  }
  return null;
}

function unfinished(attempted: string, of: DiskOfVm, { plan, jobId, workflow }: Reservation) {
  const { pool } = plan.to;
  const repeat = shell`blockflow move ${workflow} --to ${pool}`;
  const [now, before] = [of.vm.name, plan.vm?.name ?? of.vm.name];
  return refused('other-operation', {
    attempted,
    now: `move ${jobId} of ${workflow} to pool ${pool} is unfinished: its source may be left`,
    next:
      workflow === idOf(of)
        ? `Finish it first: repeat it (${repeat})`
        : 'Finish it first, under the name that the VM had then: ' +
          `${shell`virsh domrename ${now} ${before}`}, ${repeat}, ` +
          shell`virsh domrename ${before} ${now}`,
  });
}
