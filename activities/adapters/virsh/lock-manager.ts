/**
 * libvirt's lock manager, which leases the files of the disks of a VM that runs (`lock_manager` in
 * qemu.conf). libvirt itself tells of it nowhere; the daemon loads it as a plugin.
 */
import { readFile } from '../files/calls.ts';
import { join } from 'node:path';
import { daemonOf } from './libvirt-folders.ts';

/** Whether a plugin leases disks by itself, where its own settings say nothing. */
const LEASES_DISKS: Readonly<Record<string, boolean>> = { lockd: true, sanlock: false };

export interface LockManager {
  name: string;
  /** The file with its settings, as the daemon names it. */
  settings: string;
}

/**
 * The plugin with which the daemon of this VM leases the files of disks; null when it has none, or
 * one for `<lease>` elements only. The daemon is asked by what it has loaded: its qemu.conf may
 * have changed since.
 */
export async function lockManagerOf(vm: {
  name: string;
  uuid: string;
}): Promise<LockManager | null> {
  const daemon = await daemonOf(vm);
  if (!daemon) return null;
  const loaded = await readFile(`/proc/${daemon.pid}/maps`, 'utf8').catch(() => '');
  const name = /\/lock-driver\/([\w-]+)\.so/.exec(loaded)?.[1];
  if (name === undefined) return null;
  const file = `qemu-${name}.conf`;
  const text = await readFile(join(daemon.settings, file), 'utf8').catch(() => '');
  const said = /^[ \t]*auto_disk_leases[ \t]*=[ \t]*(\d)/m.exec(text)?.[1];
  const leases = said === undefined ? (LEASES_DISKS[name] ?? true) : said === '1';
  const settings = join(daemon.settings, file).replace(/^\/proc\/\d+\/root/, '');
  return leases ? { name, settings } : null;
}
