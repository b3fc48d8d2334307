/** QEMU's commands for the snapshots inside of qcow2 images that are open in a daemon. */
import type { Ask } from './open-images.ts';

/** The id and the name of it: QEMU's tools disagree on which of the two a single word means. */
export interface InnerName {
  id: string;
  name: string;
}

/** One transaction: on all nodes, or none. @returns null when they were taken, else QEMU's words */
export const takeInner = (ask: Ask, nodes: readonly string[], name: string) =>
  ask({
    execute: 'transaction',
    arguments: {
      actions: nodes.map((device) => ({
        type: 'blockdev-snapshot-internal-sync',
        data: { device, name },
      })),
    },
  });

/** @returns null when it was deleted, else QEMU's words */
export const deleteInner = (
  ask: Ask,
  node: string,
  { id, name }: InnerName,
): Promise<string | null> =>
  ask({
    execute: 'blockdev-snapshot-delete-internal-sync',
    arguments: { device: node, id, name },
  });
