/** A move that was ended after its switch, before it had deleted its source. */
import { dirname } from 'node:path';
import { refused } from '../../workflows/operation/failures.ts';
import { operationId } from '../../workflows/chain/references.ts';
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
export async function assertNoUnfinishedMove(
  attempted: string,
  { vm, disk, volumes }: DiskOfVm,
): Promise<void> {
  for (const folder of new Set(volumes.map(({ path }) => dirname(path)))) {
    for (const { content, owner } of await readManifests(folder)) {
      const { data: run } = reservation.safeParse(content);
      if (!run || !isUnfinishedOn(volumes, { ...run, owner })) continue;
      const { plan, jobId } = run;
      if (plan.vm?.uuid !== vm.uuid || plan.vm.disk !== disk) continue;
      throw refused('other-operation', {
        attempted,
        now: `move ${jobId} to pool ${plan.to.pool} is unfinished: its source may be left`,
        next:
          `Finish it first: repeat the move of ${operationId({ vm: vm.name, disk })} ` +
          `to ${plan.to.pool}`,
      });
    }
  }
}
