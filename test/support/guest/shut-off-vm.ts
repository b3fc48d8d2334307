/** VMs that are only defined: what a request is judged by, without a guest that runs. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { guestDomainXml } from './guest.ts';
import type { PrivateHost } from '../host/private-host.ts';

/**
 * Makes an image of 8 MiB; over `below` when it is given. Options are those of `qemu-img create
 * -o`.
 */
export async function createImage(
  path: string,
  more: { format?: string; below?: string; belowFormat?: string; options?: string } = {},
): Promise<string> {
  const { format = 'qcow2', below, belowFormat = 'qcow2', options } = more;
  const over = below === undefined ? [] : ['-b', below, '-F', belowFormat];
  const special = options === undefined ? [] : ['-o', options];
  const size = below === undefined ? ['8M'] : [];
  await execa('qemu-img', ['create', '-q', '-f', format, ...special, ...over, path, ...size]);
  return path;
}

/** A `<disk>` of a file as vdb; `inside` is more XML in it. */
export const diskXml = (path: string, format = 'qcow2', inside = '') => `
<disk type='file' device='disk'>
  <driver name='qemu' type='${format}'/><source file='${path}'/>
  <target dev='vdb' bus='virtio'/>${inside}
</disk>`;

/** Defines a VM with a system disk of its own as vda, and this element besides. */
export async function defineShutOff(host: PrivateHost, name: string, disk: string): Promise<void> {
  const diskPath = await createImage(join(host.root, `${name}-system.qcow2`));
  const serialPath = join(host.root, `${name}.serial`);
  const file = join(host.root, `${name}.xml`);
  const options = { name, diskPath, serialPath, format: 'qcow2', moreDevices: disk } as const;
  await writeFile(file, guestDomainXml(options));
  await host.virsh('define', file);
}

/**
 * Defines a VM whose vdb is a chain of so many layers in this folder, the base first: each with a
 * MiB of its own. They are on the disk.
 */
export async function defineChain(host: PrivateHost, vm: string, folder: string, layers: number) {
  const chain: string[] = [];
  for (let layer = 0; layer < layers; layer++) {
    const below = chain.at(-1);
    const path = await createImage(join(folder, `${vm}-${layer}.qcow2`), below ? { below } : {});
    await execa('qemu-io', ['-f', 'qcow2', '-c', `write -P ${layer + 1} ${layer}M 1M`, path]);
    chain.push(path);
  }
  await defineShutOff(host, vm, diskXml(chain.at(-1) ?? ''));
  await execa('sync', chain);
  return { chain, image: { kind: 'disk', vm, disk: 'vdb' } as const };
}

/** Redefines a VM with its persistent XML changed. */
export async function redefine(
  host: PrivateHost,
  vm: string,
  change: (xml: string) => string,
): Promise<void> {
  const file = join(host.root, 'redefined.xml');
  await writeFile(file, change(await host.virsh('dumpxml', vm, '--inactive', '--security-info')));
  await host.virsh('define', file);
}
