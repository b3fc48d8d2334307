/** How requests name disks, images and volumes, and the ids of the operations on them. */
import * as z from 'zod/mini';
import {
  diskTarget,
  fileIdentity,
  hostName,
  imageFormat,
  newFileName,
  plainText,
  poolFolder,
  poolName,
  vmName,
  volumePath,
} from '../operation/names.ts';

export const diskRef = z.strictObject({ vm: vmName, disk: diskTarget, host: hostName });
export type DiskRef = z.infer<typeof diskRef>;

/** A VM with all its disks. */
export const vmRef = z.strictObject({ vm: vmName, host: hostName });

/** A VM's disk, or a standalone image: named by its active layer. */
export const imageRef = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('disk'), vm: vmName, disk: diskTarget }),
  z.strictObject({
    kind: z.literal('volume'),
    pool: poolName,
    volume: newFileName,
    /** Never probed: a guest can write any header into a raw image. */
    format: imageFormat,
  }),
]);
export type ImageRef = z.infer<typeof imageRef>;

/** A volume with the pool that it was found in, and what a rename keeps. */
export const namedVolume = z.strictObject({
  path: volumePath,
  pool: plainText,
  identity: fileIdentity,
});
export type NamedVolume = z.infer<typeof namedVolume>;

/** Where copies are made; by the folder's identity one sees whether its file system is mounted. */
export const copyTarget = z.strictObject({
  pool: poolName,
  folder: poolFolder,
  identity: fileIdentity,
});
export type CopyTarget = z.infer<typeof copyTarget>;

/** The workflow id is the disk: what a person looks for, and the lock of the disk. */
export const operationId = (ref: { vm: string; disk: string }) => `${ref.vm}/${ref.disk}`;

/** The same of an image: a VM's disk excludes a merge of it. */
export const imageId = (image: ImageRef) =>
  image.kind === 'disk' ? operationId(image) : `${image.pool}/${image.volume}`;
