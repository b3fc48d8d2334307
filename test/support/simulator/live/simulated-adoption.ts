/** What the simulated host agent makes of what earlier runs of a move, or of a copy, have left. */
import { imageId } from '../../../../workflows/chain/references.ts';
import type { ImagePlan } from '../../../../workflows/transfer/plan.ts';
import { refused, type RefusalCode } from '../../../../workflows/operation/failures.ts';
import type { PlanRequest } from '../../../../workflows/transfer/request.ts';
import { identityOf, referencesTo, staged, type Reserved } from '../simulated-images.ts';
import type { SimulatedVm } from '../simulated-vm.ts';

const MIB = 1048576;

export const refuse = (code: RefusalCode, now: string) =>
  refused(code, { attempted: 'planning', now, next: 'Fix it' });

type Volumes = Pick<ImagePlan, 'volumes' | 'live'>;
/**
 * Equal for the same files, unwritten since, with the same names to be; the active layer of a
 * running VM is always written.
 */
const fingerprint = ({ volumes, live }: Volumes) =>
  JSON.stringify([lowerState({ volumes }), topState({ volumes, live }), live !== null]);
const stateOf = (v: ImagePlan['volumes'][number]) => [v.identity, v.modifiedNs, v.name, v.rebase];
const lowerState = ({ volumes }: Pick<Volumes, 'volumes'>) => volumes.slice(0, -1).map(stateOf);
function topState({ volumes, live }: Volumes) {
  const top = volumes.at(-1);
  return top && (live ? [top.identity, top.name] : stateOf(top));
}

/** Copies that anything already refers to are neither adopted nor deleted as leftovers. */
export function sortByUse(vm: SimulatedVm, runs: readonly Reserved[]) {
  const isUsed = ({ jobId, plan }: Reserved) => {
    const copies = plan.volumes.map(({ name }) => staged(plan.to.pool, jobId, name, 'ready'));
    const files = new Set(copies.flatMap((path) => identityOf(vm, path) ?? []));
    return referencesTo(vm, files, false) !== null;
  };
  return { used: runs.filter(isUsed), unused: runs.filter((run) => !isUsed(run)) };
}

export function elsewhereOf(vm: SimulatedVm, { image, to }: PlanRequest): ImagePlan['elsewhere'] {
  const runs = [...vm.images.reservations.values()].filter(
    ({
      workflow,
      plan: {
        to: { pool },
      },
    }) => workflow === imageId(image) && pool !== to && !vm.images.away.has(pool),
  );
  const { used } = sortByUse(vm, runs);
  return runs.map((run) => ({
    jobId: run.jobId,
    owner: run.owner ?? run.jobId,
    to: run.plan.to,
    format: 'qcow2',
    volume: run.plan.volumes.at(-1)?.name ?? '',
    isUsed: used.includes(run),
  }));
}

export function toAdopt(
  runs: readonly Reserved[],
  now: Volumes,
  verify: ImagePlan['verify'],
): (Reserved & { hasMirroredTop: boolean }) | undefined {
  const isStrict = ({ plan }: Reserved) => plan.verify === 'full' || verify === 'none';
  const usable = runs.filter((run) => run.owner !== null && isStrict(run));
  const same = usable.find(({ plan }) => fingerprint(plan) === fingerprint(now));
  if (same) return { ...same, hasMirroredTop: false };
  const lower = (of: Volumes) =>
    JSON.stringify([lowerState(of), topState({ ...of, live: shapeOfAny })]);
  const below = usable.find(
    ({ plan }) => !now.live && plan.live && plan.volumes.length > 1 && lower(plan) === lower(now),
  );
  return below && { ...below, hasMirroredTop: true };
}
const shapeOfAny = { ...shapeOf([]), isMirrored: false };

/** What the active layer is mirrored into. */
export function shapeOf(volumes: ImagePlan['volumes']) {
  const { rebase } = volumes.at(-1) ?? { rebase: null };
  const header = { clusterBytes: null, extendedL2: false, synchronousWrites: false };
  return { virtualSizeBytes: 64 * MIB, backing: rebase, ...header };
}

/** The job whose mirror runs on the disk. */
export function mirroringRun(vm: SimulatedVm, { image }: PlanRequest): string | null {
  if (!vm.mirror) return null;
  for (const { workflow, jobId, plan } of vm.images.reservations.values()) {
    const top = staged(plan.to.pool, jobId, plan.volumes.at(-1)?.name ?? '', 'ready');
    const isOurs = workflow === imageId(image) && vm.files.identity(top) === vm.mirror.identity;
    if (isOurs) return jobId;
  }
  throw refuse('foreign-job', 'another job runs on the disk');
}
