/** What a deletion of a snapshot is asked for: defined once, for clients, workflow and agents. */
import * as z from 'zod/mini';
import {
  diskTarget,
  hostName,
  imageFormat,
  plainName,
  plainText,
  sizeBytes,
  vmName,
} from '../../operation/names.ts';

/**
 * Names one snapshot inside of an image. What it takes differs between formats, so the format is a
 * part of it; in qcow2 a name alone may be that of several, or the id of another one.
 */
export const innerHandle = z.strictObject({ format: imageFormat, id: plainName, name: plainName });

const request = z.strictObject({
  vm: vmName,
  host: hostName,
  name: plainName,
  /** With those that were taken on it, or only those. */
  scope: z._default(z.enum(['snapshot', 'children', 'children-only']), 'snapshot'),
  /** Only this one, inside of an image of this disk. */
  only: z._default(z.nullable(z.strictObject({ disk: diskTarget, handle: innerHandle })), null),
  /** Of each merge; 0 is no limit. */
  bandwidthBytesPerSecond: z._default(sizeBytes, 0),
  /** Merges of disks at the same time. */
  atOnce: z._default(z.int().check(z.minimum(1), z.maximum(16)), 4),
  requestedBy: z._default(plainText, 'unknown'),
});

export const deleteSnapshotInput = request.check(
  z.refine(({ name, only }) => only === null || only.handle.name === name, {
    path: ['only'],
    error: 'has another name than the snapshot',
  }),
  z.refine(({ only, scope }) => only === null || scope === 'snapshot', {
    path: ['only'],
    error: 'is one snapshot, without those that were taken on it',
  }),
);
export type DeleteSnapshotInput = z.output<typeof deleteSnapshotInput>;
export type DeleteSnapshotRequest = z.input<typeof deleteSnapshotInput>;
