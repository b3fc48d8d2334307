/** The test VM: boots from the disk under test and never stops writing to it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { GuestDisk, ImageFormat } from './guest-disk.ts';
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
    <disk type='file' device='disk'>
      <driver name='qemu' type='${domain.format}' cache='writethrough' discard='unmap'/>
      <source file='${text(domain.diskPath)}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
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
  readonly uuid?: string;
  readonly memoryMiB?: number;
  readonly moreDevices?: string;
}

/** Defines a VM that boots from `disk`; its serial file is in the folder of the host. */
export async function defineGuest(host: PrivateHost, options: GuestOptions): Promise<Guest> {
  const { disk, ...rest } = options;
  const serialPath = join(host.root, `${options.name}.serial`);
  const xmlPath = join(host.root, `${options.name}.xml`);
  const xml = guestDomainXml({ ...rest, diskPath: disk.path, format: disk.format, serialPath });
  await writeFile(xmlPath, xml);
  await host.virsh('define', xmlPath);
  return new Guest(host, options.name, disk, serialPath);
}

/** A defined guest and what it has said so far. */
export class Guest {
  readonly host: PrivateHost;
  readonly name: string;
  /** The disk as it was when the guest was defined. */
  readonly disk: GuestDisk;
  readonly serial: SerialLog;
  /** Of its layers (layer-marks.ts): how many were written; place and pattern of what stands. */
  readonly marks = { written: 0, standing: new Map<number, number>() };

  constructor(host: PrivateHost, name: string, disk: GuestDisk, serialPath: string) {
    this.host = host;
    this.name = name;
    this.disk = disk;
    this.serial = new SerialLog(serialPath);
  }

  /** Starts the VM; returns when the guest has checked its disk. */
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

  /** Highest generation acknowledged so far: every write up to it is on the disk. */
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
