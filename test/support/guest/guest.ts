/** The test VM: boots from the disk under test and never stops writing to it, and its others. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { GuestDisk, ImageFormat } from './disks/guest-disk.ts';
import type { PrivateHost } from '../host/private-host.ts';
import { SerialLog } from './serial-log.ts';
import { waitUntil } from '../wait-until.ts';

export interface GuestDomain {
  readonly name: string;
  readonly uuid?: string;
  readonly diskPath: string;
  readonly format: ImageFormat;
  readonly serialPath: string;
  /** Default 32. */
  readonly memoryMiB?: number;
  /** More XML inside of <devices>, such as a second disk. */
  readonly moreDevices?: string;
}

/** Text as XML carries it, between tags and in quotes. */
const text = (raw: string) =>
  raw.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll("'", '&apos;');

/** A disk of the domain with cache=writethrough. */
export const diskElement = (target: string, path: string, format: ImageFormat) =>
  `<disk type='file' device='disk'>
      <driver name='qemu' type='${format}' cache='writethrough' discard='unmap'/>
      <source file='${text(path)}'/>
      <target dev='${target}' bus='virtio'/>
    </disk>`;

/** Domain XML of a guest: TCG, no network, vda with cache=writethrough. */
export function guestDomainXml(domain: GuestDomain): string {
  const uuid = domain.uuid === undefined ? '' : `<uuid>${domain.uuid}</uuid>`;
  return `<domain type='qemu'>
  <name>${text(domain.name)}</name>${uuid}
  <memory unit='MiB'>${domain.memoryMiB ?? 32}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    ${diskElement('vda', domain.diskPath, domain.format)}
    <controller type='usb' model='none'/>
    <serial type='file'>
      <source path='${text(domain.serialPath)}' append='on'/>
      <target port='0'/>
    </serial>
    <memballoon model='none'/>
    ${domain.moreDevices ?? ''}
  </devices>
</domain>
`;
}

export interface GuestOptions {
  readonly name: string;
  /** The disk; with `path` of an overlay to boot from that. */
  readonly disk: GuestDisk;
  /** Its vdb, vdc, … (`createFurtherDisk`), as many as `disk` says that the guest writes. */
  readonly furtherDisks?: readonly GuestDisk[];
  readonly uuid?: string;
  readonly memoryMiB?: number;
  readonly moreDevices?: string;
}

/** Defines a VM that boots from `disk`; its serial file is in the folder of the host. */
export async function defineGuest(host: PrivateHost, options: GuestOptions): Promise<Guest> {
  const { disk, furtherDisks = [], moreDevices = '', ...rest } = options;
  if (furtherDisks.length + 1 !== disk.parameters.disks) {
    throw new RangeError(`${options.name} writes to ${disk.parameters.disks} disks`);
  }
  const further = furtherDisks.map(({ path, format }, at) =>
    diskElement(`vd${'bcd'.charAt(at)}`, path, format),
  );
  const serialPath = join(host.root, `${options.name}.serial`);
  const xmlPath = join(host.root, `${options.name}.xml`);
  const xml = guestDomainXml({
    ...rest,
    diskPath: disk.path,
    format: disk.format,
    serialPath,
    moreDevices: [...further, moreDevices].join('\n    '),
  });
  await writeFile(xmlPath, xml);
  await host.virsh('define', xmlPath);
  return new Guest(host, options.name, [disk, ...furtherDisks], serialPath);
}

/** A defined guest and what it has said so far. */
export class Guest {
  readonly host: PrivateHost;
  readonly name: string;
  /** The disks that it writes, as they were when it was defined; vda first. */
  readonly disks: readonly [GuestDisk, ...GuestDisk[]];
  readonly serial: SerialLog;
  /** Of its layers (layer-marks.ts): how many were written; place and pattern of what stands. */
  readonly marks = { written: 0, standing: new Map<number, number>() };

  constructor(host: PrivateHost, name: string, disks: Guest['disks'], serialPath: string) {
    this.host = host;
    this.name = name;
    this.disks = disks;
    this.serial = new SerialLog(serialPath);
  }

  /** The disk that it boots from. */
  get disk(): GuestDisk {
    return this.disks[0];
  }

  /** Starts the VM; returns when the guest has checked its disks. */
  async start(timeoutMs = 20_000): Promise<void> {
    const boots = this.serial.boots.length;
    await this.host.virsh('start', this.name);
    await waitUntil(
      () => this.#missed('to boot'),
      () => this.serial.boots.length > boots,
      { timeoutMs },
    );
  }

  /** SIGKILL to QEMU; returns when libvirtd shows the VM as shut off. */
  async kill(): Promise<void> {
    await this.host.killQemu(this.name);
  }

  /** Highest generation acknowledged so far: every write up to it is on its disks. */
  acknowledged(): number {
    return this.serial.acknowledged;
  }

  /** Waits for `count` more acknowledged generations, and returns the highest. */
  async waitForAcks(count: number, timeoutMs = 20_000): Promise<number> {
    const wanted = this.acknowledged() + count;
    return await waitUntil(
      () => this.#missed(`to acknowledge ${wanted}`),
      () => this.acknowledged() >= wanted && this.acknowledged(),
      { timeoutMs },
    );
  }

  #missed(what: string): string {
    const { path, acknowledged, boots, writeErrors, mismatches } = this.serial;
    return (
      `guest ${this.name} ${what} (boots ${boots.length}, acknowledged ${acknowledged}, ` +
      `write errors ${writeErrors.length}, mismatches ${mismatches.length}; ${path})`
    );
  }
}
