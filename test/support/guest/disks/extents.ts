/** Where an image holds what, as `qemu-img map` tells it, also of one that a VM has open. */
import { execa } from 'execa';

export interface Extent {
  start: number;
  length: number;
  /** 0 is the image itself, 1 the volume below it. */
  depth: number;
  data: boolean;
  /** In the file of that depth; QEMU leaves it out where there is none. */
  offset: number;
}

export async function extentsOf(image: string): Promise<Extent[]> {
  const { stdout } = await execa('qemu-img', ['map', '--output=json', '-U', '-f', 'qcow2', image]);
  return JSON.parse(stdout) as Extent[];
}
