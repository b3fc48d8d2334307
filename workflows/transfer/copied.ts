/** Which volumes of an image have a copy of their own, and which are copied by blockflow. Pure. */
import type { ImagePlan, ImageVolume } from './plan.ts';

type Planned = Pick<ImagePlan, 'volumes' | 'flatten'>;

/** Those that the target will have, base-most first: of one that is flattened the active layer. */
export const copiesOf = ({ volumes, flatten }: Planned): ImageVolume[] =>
  flatten ? volumes.slice(-1) : volumes;

/** A plan has at least one volume. */
export const activeLayer = (volumes: readonly ImageVolume[]) => volumes.at(-1) as ImageVolume;

/** The format that the copy of a volume has. */
export const formatOf = ({ convert, format }: Pick<ImageVolume, 'convert' | 'format'>) =>
  convert?.format ?? format;

/** Their paths. */
export const copyPaths = (plan: Planned & Pick<ImagePlan, 'to'>): string[] =>
  copiesOf(plan).map(({ name }) => `${plan.to.folder}/${name}`);

/**
 * The layers of which blockflow's own daemon makes a copy: of a running VM those that QEMU only
 * reads. They are held until the end, and compared.
 */
export function copiedByUs(plan: Planned & Pick<ImagePlan, 'live'>): ImageVolume[] {
  const copies = copiesOf(plan);
  return plan.live ? copies.slice(0, -1) : copies;
}
