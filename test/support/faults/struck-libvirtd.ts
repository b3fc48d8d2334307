/** Kills libvirtd as it opens one of its files: an exact point inside of what it does. */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Guest } from '../guest/guest.ts';
import type { PrivateHost } from '../host/private-host.ts';
import { waitUntil } from '../wait-until.ts';

/** A file that libvirtd will write, and at which opening of it, counted from now on by thread. */
export interface Moment {
  file: 'status' | 'record';
  time: number;
}

const FOLDERS = { status: '/run/libvirt/qemu', record: '/etc/libvirt/qemu' };

/**
 * Attaches strace(1), which kills libvirtd at that moment.
 * @returns a wait for libvirtd's end
 */
export async function strikeLibvirtd(
  host: PrivateHost,
  vm: string,
  { file, time }: Moment,
): Promise<() => Promise<void>> {
  const pid = `${host.libvirtdPid()}`;
  const path = `${FOLDERS[file]}/${vm}.xml.new`;
  const strike = `inject=openat:signal=SIGKILL:when=${time}`;
  const options = ['-f', '-p', pid, '-P', path, '-e', 'trace=openat', '-e', strike];
  const strace = execa('strace', [...options, '-o', '/dev/null'], {
    reject: false,
    stdin: 'ignore',
  });
  let said = '';
  strace.stderr.on('data', (text: Buffer) => (said += text.toString()));
  let hasEnded = false;
  void strace.then(() => (hasEnded = true));
  await waitUntil(
    () => `strace to attach: ${said}`,
    () => / attached/.test(said),
  );
  return async () => {
    await waitUntil('libvirtd to be killed', () => hasEnded && !host.libvirtdRuns());
  };
}

/** Pivots a job at READY, which libvirtd does not survive: from then on it is in limbo. */
export const pivotIntoLimbo = (host: PrivateHost, vm: string) =>
  pivotInto(host, vm, { file: 'status', time: 2 });

/** The same at another moment of the pivot. */
export async function pivotInto(host: PrivateHost, vm: string, moment: Moment): Promise<void> {
  const struck = await strikeLibvirtd(host, vm, moment);
  await host.virsh('blockjob', vm, 'vda', '--pivot').catch(() => undefined);
  await struck();
  await host.startLibvirtd();
}

/**
 * Kills libvirtd when QEMU opens a file that it was told to: QEMU stands still at it, and goes on
 * once libvirtd is gone.
 * @returns a wait for libvirtd's end
 */
export async function strikeLibvirtdAtOpen(
  host: PrivateHost,
  vm: string,
  file: string,
): Promise<() => Promise<void>> {
  const pid = host.qemuPid(vm);
  const options = ['-f', '-p', `${pid}`, '-P', file, '-e', 'trace=openat'];
  const strike = ['-e', 'inject=openat:signal=SIGSTOP:when=1'];
  const strace = execa('strace', [...options, ...strike], { reject: false, stdin: 'ignore' });
  let said = '';
  strace.stderr.on('data', (text: Buffer) => (said += text.toString()));
  await waitUntil(
    () => `strace to attach: ${said}`,
    () => / attached/.test(said),
  );
  return async () => {
    await waitUntil(
      () => `QEMU to stand at the file: ${said}`,
      () => /stopped by SIGSTOP/.test(said),
    );
    await host.killLibvirtd();
    strace.kill('SIGTERM');
    await strace;
    process.kill(pid, 'SIGCONT');
  };
}

/** As the Hold `limbo` tells: the guest and its record go on with this file of the two. */
export async function goOnWith(
  host: PrivateHost,
  vm: string,
  file: string,
  other: string,
): Promise<void> {
  const xml = join(host.root, 'edited.xml');
  await execa('chown', [`--reference=${other}`, file]);
  await host.virsh('managedsave', vm, '--running');
  for (const [dump, define] of [
    [
      ['managedsave-dumpxml', vm],
      ['managedsave-define', vm, xml],
    ],
    [
      ['dumpxml', vm, '--inactive'],
      ['define', xml],
    ],
  ] as const) {
    const text = (await host.virsh(...dump))
      .replace(/<mirror .*<\/mirror>/s, '')
      .replace(/<backingStore\/>|<backingStore .*<\/backingStore>/s, '');
    await writeFile(xml, text.replace(`<source file='${other}'`, `<source file='${file}'`));
    await host.virsh(...define);
  }
  await host.virsh('start', vm);
}

/**
 * Starts a VM that libvirtd had lost, as docs/guide/troubleshooting.md tells under `lost-vm`:
 * libvirt counts the QEMU that has ended as a user of the log of its serial port.
 */
export async function startLost(guest: Guest): Promise<void> {
  await execa('cp', [guest.serial.path, `${guest.serial.path}.new`]);
  await rename(`${guest.serial.path}.new`, guest.serial.path);
  await guest.start();
}
