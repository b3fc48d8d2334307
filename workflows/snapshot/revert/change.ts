/** The one change of a VM's record that a revert is. Pure. */
import { eachPool } from '../../pools/waiting.ts';
import type { Overlay } from '../create/plan.ts';
import type { DiskSwitch, RevertLayer, RevertPlan } from './plan.ts';

/** From what the disks write now to the overlays, once these are there. */
export function changeOf(
  { vm, vmUuid, snapshot, before, disks }: RevertPlan,
  overlays: readonly Overlay[],
): DiskSwitch {
  const switched = disks.flatMap(({ disk, retired, to, below }) => {
    const made = overlays.find((overlay) => overlay.disk === disk);
    if (!made) return [];
    const overlay: RevertLayer = { volume: made.volume, format: 'qcow2', to };
    return [{ disk, from: retired, to: overlay, below }];
  });
  return { vm, vmUuid, disks: switched, current: { from: before, to: snapshot } };
}

/** The same back again. */
export const backwards = (change: DiskSwitch): DiskSwitch => ({
  ...change,
  disks: change.disks.map(({ from, to, ...disk }) => ({ ...disk, from: to, to: from })),
  current: { from: change.current.to, to: change.current.from },
});

/** Each pool with a layer of it. */
export const poolsOf = ({ disks }: Pick<DiskSwitch, 'disks'>) =>
  eachPool(disks.flatMap(({ from, to }) => [from.to, to.to]));

/** Each pool with a layer of a plan. */
export const poolsOfPlan = ({ disks }: RevertPlan) =>
  eachPool(disks.flatMap(({ retired, to }) => [retired.to, to]));

/** What the disks leave, as one names it in a pool. */
export const leftIn = ({ disks }: DiskSwitch, pool: string) =>
  disks.flatMap(({ from }) => (from.to.pool === pool ? [from.volume] : []));

/** The active layers that the disks leave, which are discarded. */
export const layersLeft = (
  going: { kind: 'plan'; plan: RevertPlan } | { kind: 'undo'; change: DiskSwitch },
) =>
  going.kind === 'plan'
    ? going.plan.disks.map(({ retired }) => retired.volume)
    : going.change.disks.map(({ to }) => to.volume);
