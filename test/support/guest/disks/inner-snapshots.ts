/** Snapshots inside of qcow2 images, for tests. */
import { open, stat } from 'node:fs/promises';
import { execa } from 'execa';
import { readHeader } from '../../../../activities/adapters/qemu-img/qemu-img.ts';

/** `id name` of each that is inside of an image. */
export const insideOf = async (path: string): Promise<string[]> =>
  (await readHeader(path, 'qcow2')).internalSnapshots.map(({ id, name }) => `${id} ${name}`);

/** As a person takes one of a single image that no process has open. */
export const takeInner = async (path: string, name: string): Promise<void> => {
  const image = `driver=qcow2,file.driver=file,file.filename=${path}`;
  await execa('qemu-img', ['snapshot', '-c', name, '--image-opts', image]);
};

const CLUSTER = 65_536;
/** Of a new image of QEMU: behind the header and the table of refcounts. */
const REFCOUNTS_AT = 2 * CLUSTER;

/** Leaves a cluster that nothing refers to, as a crash does; of a small image that is not open. */
export async function leakCluster(path: string): Promise<void> {
  const { size } = await stat(path);
  const index = Math.ceil(size / CLUSTER);
  const file = await open(path, 'r+');
  await file.truncate((index + 1) * CLUSTER);
  await file.write(Buffer.from([0, 1]), 0, 2, REFCOUNTS_AT + 2 * index);
  await file.close();
}
