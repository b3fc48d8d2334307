/** A plan's disks as the documents of libvirt have them. */
import { join } from 'node:path';
import type { SnapshotPlan } from '../../../workflows/snapshot/create/plan.ts';
import type { Layered, SnapshotFacts } from '../../adapters/libvirt-xml/overlaid.ts';

export const layeredDisks = ({ disks }: SnapshotPlan): Layered[] =>
  disks.map(({ disk, base, baseFormat, to, name }) => ({
    disk,
    base: { path: base.path, format: baseFormat },
    overlay: join(to.folder, name),
  }));

export const factsOf = (plan: SnapshotPlan): SnapshotFacts => ({
  name: plan.snapshot,
  description: plan.description,
  createdAt: plan.createdAt,
  wasRunning: plan.running,
  disks: layeredDisks(plan),
});
