/** Many VMs, many files, long chains and many disks, made quickly. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { PrivateHost } from '../host/private-host.ts';

export interface Defined {
  vm: string;
  /** Files of vda, vdb, and so on. */
  disks: readonly string[];
}

/** Images of 8 MiB without data, each on the one before, or each by itself. */
export async function makeImages(paths: readonly string[], how: 'chained' | 'single') {
  const lines = paths.map((path, at) => {
    const below = how === 'chained' ? paths[at - 1] : undefined;
    // Without `-u` each one opens the whole chain below it.
    const over = below === undefined ? '' : `-u -b '${below}' -F qcow2`;
    return `qemu-img create -q -f qcow2 ${over} '${path}' 8M`;
  });
  await execa('bash', ['-e'], { input: lines.join('\n') });
}

/** Defines VMs of qcow2 images in one session of virsh. */
export async function defineVms(host: PrivateHost, vms: readonly Defined[]): Promise<void> {
  const lines: string[] = [];
  for (const { vm, disks } of vms) {
    const file = join(host.root, `${vm}.xml`);
    await writeFile(
      file,
      `<domain type='qemu'><name>${vm}</name><memory unit='MiB'>16</memory>
       <os><type arch='x86_64' machine='pc'>hvm</type></os>
       <devices>${disks.map(diskElement).join('')}</devices></domain>`,
    );
    lines.push(`define ${file}`);
  }
  await execa('virsh', ['-c', host.uri], { input: `${lines.join('\n')}\n` });
}

const diskElement = (path: string, at: number) => `
  <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${path}'/>
  <target dev='${targetOf(at)}' bus='virtio'/></disk>`;

const targetOf = (at: number) => `vd${String.fromCharCode('a'.charCodeAt(0) + at)}`;

/** A VM whose vda is a chain of so many layers. @returns the layers, base-most first */
export async function defineDeep(host: PrivateHost, vm: string, folder: string, layers: number) {
  const chain = Array.from({ length: layers }, (_, at) => join(folder, `${vm}-${at}.qcow2`));
  await makeImages(chain, 'chained');
  await defineVms(host, [{ vm, disks: [chain.at(-1) ?? ''] }]);
  return chain;
}

/** A VM with so many disks, at most 26. @returns their files */
export async function defineWide(host: PrivateHost, vm: string, folder: string, count: number) {
  const disks = Array.from({ length: count }, (_, at) => join(folder, `${vm}-${targetOf(at)}`));
  await makeImages(disks, 'single');
  await defineVms(host, [{ vm, disks }]);
  return disks;
}

/** So many VMs that are down, with a disk each. */
export async function defineMany(host: PrivateHost, folder: string, count: number): Promise<void> {
  const vms = Array.from({ length: count }, (_, at) => ({
    vm: `many${at}`,
    disks: [join(folder, `many${at}.qcow2`)],
  }));
  await makeImages(
    vms.flatMap(({ disks }) => disks),
    'single',
  );
  await defineVms(host, vms);
}

const HEADER_BYTES = 104;

/** So many files with a header of qcow2 that names a backing file which is not there. */
export async function fillPool(folder: string, count: number): Promise<void> {
  const name = Buffer.from(join(folder, 'no-such-base'));
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(0x514649fb, 0);
  header.writeUInt32BE(3, 4);
  header.writeBigUInt64BE(BigInt(HEADER_BYTES), 8);
  header.writeUInt32BE(name.length, 16);
  header.writeUInt32BE(16, 20);
  header.writeUInt32BE(HEADER_BYTES, 100);
  const file = Buffer.concat([header, name]);
  for (let at = 0; at < count; at++) await writeFile(join(folder, `file${at}.qcow2`), file);
}
