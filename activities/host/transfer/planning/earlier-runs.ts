/** What earlier runs of an operation on an image have reserved, and what is done about it. */
import {
  reservation,
  type ImagePlan,
  type ImageVolume,
  type LiveTop,
  type Reservation,
} from '../../../../workflows/transfer/plan.ts';
import { copiesOf, formatOf } from '../../../../workflows/transfer/copied.ts';
import { imageId } from '../../../../workflows/chain/references.ts';
import type { PlanRequest } from '../../../../workflows/transfer/request.ts';
import { observeFile } from '../../../adapters/files/files.ts';
import { stagedFile, readManifests } from '../../../pool-folder/reservation.ts';
import { isFilePool, type FilePool, type Pool } from '../../../adapters/virsh/pools.ts';
import type { HostDeps } from '../../deps.ts';
import { observeReferences } from '../../uses/references.ts';
import type { Image } from '../../chain/observe-image.ts';

/** Of a reservation that is being deleted, which is as good as none, the owner is null. */
export type EarlierRun = Omit<Reservation, 'owner'> & { owner: string | null };

/** The reservations that earlier runs of this very workflow left in a pool. */
export async function earlierRuns(
  { name, folder }: Pick<FilePool, 'name' | 'folder'>,
  workflow: string,
  vmUuid: string | null,
): Promise<EarlierRun[]> {
  const found = (await readManifests(folder)).flatMap(({ content, owner }) => {
    const parsed = reservation.safeParse(content);
    return parsed.success ? [{ ...parsed.data, owner }] : [];
  });
  // Another host that shares the pool may have a VM of that name, which runs on these copies.
  const isOurs = ({ plan: { vm } }: EarlierRun) => !vm || vmUuid === null || vm.uuid === vmUuid;
  const ofImage = found.filter((run) => run.workflow === workflow && run.plan.to.pool === name);
  return ofImage.filter(isOurs);
}

/** Those of this host in other pools; one that cannot be read is passed over. */
export async function runsIn(deps: HostDeps, pools: readonly Pool[], workflow: string) {
  const found = pools
    .filter(isFilePool)
    .map((pool) => earlierRuns(pool, workflow, null).catch((): EarlierRun[] => []));
  return (await Promise.all(found)).flat().filter(({ plan }) => plan.host === deps.host);
}

/** What is to be removed besides, as a run for another pool leaves it alone. */
export async function runsElsewhere(
  deps: HostDeps,
  image: Image,
  to: ImagePlan['to'],
  mirroredBy: string | null,
): Promise<ImagePlan['elsewhere']> {
  const pools = image.pools.filter(({ name }) => name !== to.pool);
  const runs = await runsIn(deps, pools, imageId(image.ref));
  const { used } = await sortByUse(deps, image, { runs, mirroredBy });
  return runs.map((run) => {
    const { jobId, owner, plan } = run;
    const active = plan.volumes.at(-1) as ImageVolume;
    return {
      jobId,
      owner: owner ?? jobId,
      to: plan.to,
      volume: active.name,
      format: formatOf(active),
      isUsed: used.includes(run),
    };
  });
}

/**
 * A run that failed in its switch has kept its copies, and another image may already stand on
 * them: what anything refers to is neither deleted as a leftover nor adopted.
 */
export async function sortByUse(
  deps: HostDeps,
  { pools, chain }: Pick<Image, 'pools' | 'chain'>,
  { runs, mirroredBy }: { runs: readonly EarlierRun[]; mirroredBy: string | null },
) {
  const [used, unused]: [EarlierRun[], EarlierRun[]] = [[], []];
  for (const run of runs) {
    const { jobId, plan } = run;
    const copies = copiesOf(plan).map(({ name }) =>
      stagedFile(plan.to.folder, jobId, name, 'ready'),
    );
    const found = copies.map(async (path) => {
      const file = await observeFile(path);
      return file ? [{ path, identity: file.identity }] : [];
    });
    const volumes = (await Promise.all(found)).flat();
    // That the disk is mirrored into a copy makes it none that is in use.
    const isMirror = chain !== null && jobId === mirroredBy;
    const owner = isMirror ? { uuid: chain.vm.uuid, disk: chain.disk } : null;
    const { uses } = await observeReferences(deps, { volumes, pools, owner });
    (uses.length > 0 ? used : unused).push(run);
  }
  return { used, unused };
}

/**
 * What the new run goes on with: copies of the same files, that are verified if it asks for that.
 * Their names do not tell: without verification a copy is ready when it is complete.
 */
export function runToAdopt(
  runs: readonly EarlierRun[],
  wanted: Wanted,
  verify: PlanRequest['verify'],
): (EarlierRun & { owner: string; hasMirroredTop: boolean }) | null {
  const { volumes, live, flatten } = wanted;
  const state = sourceState(wanted);
  const goesOnCold = live === null && !flatten;
  const isStrict = ({ plan }: EarlierRun) => plan.verify === 'full' || verify === 'none';
  const find = (isSame: (run: EarlierRun) => boolean, hasMirroredTop: boolean) => {
    for (const run of runs) {
      const { owner } = run;
      if (owner !== null && isStrict(run) && isSame(run)) return { ...run, owner, hasMirroredTop };
    }
    return null;
  };
  return (
    find(({ plan }) => sourceState(plan) === state, false) ??
    find(({ plan }) => goesOnCold && isLive(plan) && lowerState(plan) === lower(volumes), true)
  );
}

/** What is to be made of which files. */
type Wanted = Pick<ImagePlan, 'volumes' | 'flatten'> & { live: Shape | null };

/** Of a VM that ran then; what was copied below its active layer. */
const isLive = (plan: ImagePlan) => plan.live !== null && copiesOf(plan).length > 1;
const lowerState = ({ volumes }: ImagePlan) => lower(volumes);
const lower = (volumes: readonly ImageVolume[]) =>
  JSON.stringify([
    volumes.slice(0, -1).map(stateOf),
    volumes.at(-1)?.identity,
    volumes.at(-1)?.name,
  ]);

type Shape = Omit<LiveTop, 'isMirrored'>;

/**
 * Equal for the same files, unwritten since, with the same names to be. The active layer of a
 * running VM is always written.
 */
function sourceState({ volumes, flatten = false, live }: Wanted): string {
  const still = live ? volumes.slice(0, -1) : volumes;
  const top = volumes.at(-1);
  return JSON.stringify([
    still.map(stateOf),
    live && [top?.identity, top?.name, top?.convert, live.virtualSizeBytes, live.backing],
    flatten,
  ]);
}

const stateOf = (v: ImageVolume) => [
  ...[v.identity, v.sizeBytes, v.modifiedNs],
  ...[v.name, v.rebase, v.convert],
];

/** What is gone on with, or is deleted before anything is reserved, takes no more space. */
export async function copiedBefore(runs: readonly EarlierRun[]): Promise<number> {
  const stages = ['part', 'copied', 'ready'] as const;
  const files = runs.flatMap(({ jobId, plan }) =>
    copiesOf(plan).flatMap(({ name }) =>
      stages.map((stage) => observeFile(stagedFile(plan.to.folder, jobId, name, stage))),
    ),
  );
  return (await Promise.all(files)).reduce((all, file) => all + (file?.allocatedBytes ?? 0), 0);
}
